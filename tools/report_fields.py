"""Make the tables of docs/report.md from the types of a report.

python -m tools.report_fields
"""

import ast
import inspect
import re
from pathlib import Path

import msgspec

from fromnoise.evaluation import provenance, report
from fromnoise.evaluation.metrics import METRICS

DOCUMENT = Path(__file__).parents[1] / "docs" / "report.md"
FIRST, LAST = "<!-- fields -->", "<!-- /fields -->"
ROOT = "Report"


def filled(document: str) -> str:
    """`document` with the tables between its markers."""
    before, _, rest = document.partition(FIRST)
    _, _, after = rest.partition(LAST)
    return f"{before}{FIRST}\n{tables()}\n{LAST}{after}"


def tables() -> str:
    """A table for each type: the report first, then in the order of the module; last the metrics."""
    source, kinds = inspect.getsource(report) + inspect.getsource(provenance), vars(provenance) | vars(report)
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    found = {node.name: node for node in classes if issubclass(kinds[node.name], msgspec.Struct)}
    names = [ROOT, *(name for name in found if name != ROOT)]
    metrics = [
        "### Metrics",
        "",
        "What `metrics` holds beside `fid`, by name.",
        "",
        "| name | title | meaning |",
        "|---|---|---|",
    ]
    metrics += [f"| `{name}` | {metric.title} | {metric.meaning} |" for name, metric in METRICS.items()]
    return "\n\n".join([*(_table(found[name], found, source.splitlines()) for name in names), "\n".join(metrics)])


def _table(node: ast.ClassDef, classes: dict[str, ast.ClassDef], source: list[str]) -> str:
    lines = [f"### {node.name}", "", " ".join((ast.get_docstring(node) or "").split()), ""]
    lines += ["| field | type | meaning |", "|---|---|---|"]
    for name, kind, meaning in _fields(node, classes, source):
        linked = re.sub(
            r"\w+", lambda word: f"[{word[0]}](#{word[0].lower()})" if word[0] in classes else word[0], kind
        )
        linked = (
            linked.replace(" | None", " or null")
            .replace(" | ", " or ")
            .replace("tuple[", "list of ")
            .replace(", ...]", "")
        )
        lines.append(f"| `{name.rstrip('_')}` | {linked} | {meaning} |")
    return "\n".join(lines)


def _fields(node: ast.ClassDef, classes: dict[str, ast.ClassDef], source: list[str]) -> list[tuple[str, str, str]]:
    """Name, type and meaning of each field: its own ones first, then those that it inherits."""
    found = []
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            found.append((item.target.id, ast.unparse(item.annotation), _meaning(item, source)))
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name)]
    return found + [field for base in bases for field in _fields(base, classes, source)]


def _meaning(item: ast.AnnAssign, source: list[str]) -> str:
    """The comment behind a field, or the lines of comment above it."""
    _, _, behind = source[item.lineno - 1].partition("  # ")
    above: list[str] = []
    while not behind and source[item.lineno - 2 - len(above)].strip().startswith("# "):
        above.insert(0, source[item.lineno - 2 - len(above)].strip()[2:])
    assert behind or above, f"line {item.lineno} says nothing of its field"
    return behind or " ".join(above)


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
