"""Make the tables of docs/report.md from the types in src/fromnoise/evaluation/report.py.

python -m tools.report_fields
"""

import ast
import inspect
import re
from pathlib import Path

from fromnoise.evaluation import report

DOCUMENT = Path(__file__).parents[1] / "docs" / "report.md"
FIRST, LAST = "<!-- fields -->", "<!-- /fields -->"
ROOT = "Report"


def filled(document: str) -> str:
    """`document` with the tables between its markers."""
    before, _, rest = document.partition(FIRST)
    _, _, after = rest.partition(LAST)
    return f"{before}{FIRST}\n{tables()}\n{LAST}{after}"


def tables() -> str:
    """A table for each type: the report first, then in the order of the module."""
    tree = ast.parse(inspect.getsource(report))
    found = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    names = [ROOT, *(name for name in found if name != ROOT)]
    return "\n\n".join(_table(found[name], found) for name in names)


def _table(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> str:
    lines = [f"### {node.name}", "", " ".join((ast.get_docstring(node) or "").split()), ""]
    lines += ["| field | type | meaning |", "|---|---|---|"]
    for name, kind, meaning in _fields(node, classes):
        linked = re.sub(
            r"\w+", lambda word: f"[{word[0]}](#{word[0].lower()})" if word[0] in classes else word[0], kind
        )
        linked = linked.replace(" | None", " or null").replace("tuple[", "list of ").replace(", ...]", "")
        lines.append(f"| `{name.rstrip('_')}` | {linked} | {meaning} |")
    return "\n".join(lines)


def _fields(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> list[tuple[str, str, str]]:
    """Name, type and meaning of each field: its own ones first, then those that it inherits."""
    inherited = [_fields(classes[base.id], classes) for base in node.bases if isinstance(base, ast.Name)]
    return _own(node) + [field for fields in inherited for field in fields]


def _own(node: ast.ClassDef) -> list[tuple[str, str, str]]:
    found = []
    for item, after in zip(node.body, node.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            assert isinstance(after, ast.Expr), f"{node.name}.{item.target.id} has no docstring"
            assert isinstance(after.value, ast.Constant), f"{node.name}.{item.target.id} has no docstring"
            found.append((item.target.id, ast.unparse(item.annotation), " ".join(str(after.value.value).split())))
    return found


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
