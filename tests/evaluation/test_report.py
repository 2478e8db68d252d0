"""docs/report.md against real reports: every field in its table is in one of them, and the other way round."""

import re
from pathlib import Path

import pytest

from fromnoise.data import digits
from fromnoise.evaluation.features import Features
from fromnoise.evaluation.score import SCHEMA, Contest, score

DOCUMENT = Path(__file__).parents[2] / "docs" / "report.md"
BY_COMMANDS = ("run.", "likelihood.", "command", "system.")  # tests/end_to_end/test_evaluate.py looks at these


def documented():
    """The fields of the table as patterns of paths; `.name` goes on from the field before it."""
    fields = []
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("| `"):
            for field in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
                fields.append(f"{fields[-1].rpartition('.')[0]}{field}" if field.startswith(".") else field)
    return fields


def matches(field, path):
    pattern = re.escape(field).replace(r"\*", r"[^.\[\]]+").replace("…", ".*")
    return re.fullmatch(pattern, path) is not None


def leaves(value, path=""):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, value


@pytest.fixture(scope="module")
def reports():
    """One where all is known, and one where as little as possible is."""
    halves = Features("halves", 2, "", lambda images: images.double().mean(dim=3).reshape(len(images), 2, -1).mean(2))
    val, heldout, train = (digits.load(part) for part in ("val", "heldout", "train"))
    bare = val.draw(50, 0)
    bare = type(bare)("bare", bare.images)
    few = Contest(bare, heldout.draw(50, 0))
    return score(Contest(val.draw(150, 0), heldout, val, train), halves), score(few, halves)


def test_the_schema_is_the_documented_one():
    assert DOCUMENT.read_text().startswith(f"# report.json, schema {SCHEMA}\n")


def test_every_documented_field_is_in_a_report(reports):
    paths = {path for report in reports for path, _ in leaves(report)}
    fields = [field for field in documented() if not field.startswith(BY_COMMANDS)]
    assert len(fields) > 80
    assert [field for field in fields if not any(matches(field, path) for path in paths)] == []


def test_every_field_of_a_report_is_documented(reports):
    fields = documented()
    unknown = set()
    for report in reports:
        for path, value in leaves(report):
            whole = any(matches(field, path) for field in fields)
            absent = value is None and any(matches(re.sub(r"(\.[^.]+)$", "", field), path) for field in fields)
            absent = absent or (value is None and path in ("metrics.classes", "copies"))
            if not (whole or absent):
                unknown.add(path)
    assert unknown == set()


def test_the_numbers_that_the_document_names_are_those_of_the_code(reports):
    text = DOCUMENT.read_text()
    from fromnoise.evaluation import card, copies
    from fromnoise.evaluation import score as scoring

    for number in (card.EXTRAPOLATED, card.CLASSIFIED):
        assert f"bove {number:,} features" in text
    assert f"more than {scoring.MOST_TRAINED:,} training images" in text
    assert f"fewer than {copies.FEWEST} images" in text
