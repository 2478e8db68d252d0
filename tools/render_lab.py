"""Execute the lab's notebooks in Jupyter and render them: .ipynb and HTML files, solutions folded away.

python tools/render_lab.py --out build/lab [--full] [NUMBER ...]
"""

import argparse
import os
import re
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from fromnoise.faces import markdown

LAB = Path(__file__).parents[1] / "lab"
SECONDS = 3600  # for one cell: the full setting trains in one


def execute(path: Path, out: Path) -> Path:
    """Run one percent script as a notebook, top to bottom; write NAME.ipynb with its outputs and NAME.html."""
    notebook = jupytext.read(path)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    NotebookClient(notebook, timeout=SECONDS, resources={"metadata": {"path": str(Path.cwd())}}).execute()
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{path.stem}.ipynb"
    nbformat.write(notebook, target)
    target.with_suffix(".html").write_text(page(folded(notebook)))
    return target


def page(notebook: Any) -> str:
    """The notebook as one HTML page that fetches nothing: formulas are MathML, no script is left to draw them."""
    exporter = HTMLExporter(embed_images=True)
    exporter.register_filter("markdown2html", lambda text: markdown.to_html(text, markdown2html_mistune))
    rendered, _ = exporter.from_notebook_node(notebook)
    return re.sub(r"<script[^>]*\bsrc=\"https?:[^>]*>\s*</script>", "", rendered)


def folded(notebook: Any) -> Any:
    """A copy in which the code of each solution stands in a fold that the reader opens."""
    copy = nbformat.from_dict(notebook)
    cells = []
    for cell in copy.cells:
        if "solution" in cell.metadata.get("tags", ()) and cell.cell_type == "code":
            title, _, code = cell.source.partition("\n")
            title = title.removeprefix("# @title ").strip()
            source = f"<details><summary>{title}</summary>\n\n```python\n{code}\n```\n\n{_printed(cell)}</details>"
            cell = nbformat.v4.new_markdown_cell(source)
        cells.append(cell)
    copy.cells = cells
    return copy


def _printed(cell: Any) -> str:
    """What a cell wrote and drew, as Markdown."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(f"```\n{output.text}```\n\n")
        elif "image/png" in output.get("data", {}):
            parts.append(f'<img src="data:image/png;base64,{output.data["image/png"].strip()}">\n\n')
        elif "text/markdown" in output.get("data", {}):
            parts.append(f"{output.data['text/markdown']}\n\n")
    return "".join(parts)


def main() -> None:
    """Execute the notebooks named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="*", type=int, help="notebooks; all when not given")
    parser.add_argument("--out", type=Path, default=Path("build/lab"))
    parser.add_argument(
        "--full", action="store_true", help="the full setting (a quarter of an hour), not the quick one"
    )
    arguments = parser.parse_args()
    os.environ["FROMNOISE_LAB"] = "full" if arguments.full else "quick"
    begin = time.perf_counter()
    for path in sorted(LAB.glob("[0-9]_*.py")):
        if not arguments.numbers or int(path.name[0]) in arguments.numbers:
            start = time.perf_counter()
            print(f"{execute(path, arguments.out)}  {time.perf_counter() - start:.1f} s", flush=True)
    print(f"{time.perf_counter() - begin:.1f} s in all")


if __name__ == "__main__":
    main()
