"""Hooks of the documents' site (mkdocs.yml): pages from outside docs/, links to files without one, and docstrings."""

import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("CONTRIBUTING.md", "CHANGELOG.md", "lab/README.md", "lab/teaching.md")
FOLDERS = ("benchmarks",)  # their .md pages, and the pictures that these show
LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)#:\s]+)(?P<anchor>#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/, by their paths from the root."""
    found = [ROOT / name for name in PAGES]
    for folder in FOLDERS:
        found += [path for path in sorted((ROOT / folder).iterdir()) if path.suffix in (".md", ".png")]
    for path in found:
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the site's pages; of a file of the repository that has none, leave its path."""
    place = Path(page.file.abs_src_path or "").parent

    def linked(found: re.Match[str]) -> str:
        path = (place / found["target"]).resolve()
        for root in (Path(config.docs_dir), ROOT):
            if path.is_relative_to(root) and files.get_file_from_path(path.relative_to(root).as_posix()):
                name = path.relative_to(root).as_posix()
                target = posixpath.relpath(name, posixpath.dirname(page.file.src_uri))
                return f"{found['picture']}[{found['text']}]({target}{found['anchor'] or ''})"
        if path.exists() and not found["picture"]:
            name = path.relative_to(ROOT).as_posix()
            return f"`{name}`" if found["text"] == name else f"{found['text']} (`{name}`)"
        return found[0]  # for mkdocs to complain of

    return LINK.sub(linked, markdown)


class Plain(griffe.Extension):  # type: ignore[misc]  # griffe is in the extra docs alone
    """Markdown for what our docstrings leave plain: aligned tables (`name   what it is`) and optional [, arguments]."""

    ROW = re.compile(r"^(?P<name>\w[\w, ]*?) {2,}(?P<text>\S.*(?:\n {4,}\S.*)*)", re.MULTILINE)
    OPTIONAL = re.compile(r"^ {4}.*|`[^`]*`|\[(?=, )", re.MULTILINE)  # code is left alone

    def on_object(self, *, obj: griffe.Object, **more: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            listed = self.ROW.sub(self._item, obj.docstring.value)
            obj.docstring.value = self.OPTIONAL.sub(lambda found: r"\[" if found[0] == "[" else found[0], listed)

    @staticmethod
    def _item(row: re.Match[str]) -> str:
        return f"\n- `{row['name']}`: " + " ".join(row["text"].split())
