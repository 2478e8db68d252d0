"""The typed report against real reports, and docs/report.md against the types that it is made from."""

from pathlib import Path

import pytest

from fromnoise.data import digits
from fromnoise.errors import UserError
from fromnoise.evaluation import report as types_of_report
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.report import Report
from fromnoise.evaluation.score import SCHEMA, Contest, score
from tools import report_fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.fixture(scope="module")
def reports():
    """One where all is known, and one where as little as possible is."""
    halves = Features("halves", 2, "", lambda images: images.double().mean(dim=3).reshape(len(images), 2, -1).mean(2))
    val, heldout, train = (digits.load(part) for part in ("val", "heldout", "train"))
    bare = val.subset(50, 0)
    bare = type(bare)("bare", bare.images)
    few = Contest(bare, heldout.subset(50, 0))
    return score(Contest(val.subset(150, 0), heldout, val, train), halves), score(few, halves)


def test_every_field_of_a_report_has_its_type(reports):
    for report in reports:
        assert Report.of(report.plain()) == report


def test_a_report_is_read_by_names(reports):
    full, bare = reports
    assert full.fid.value == full.plain()["metrics"]["fid"]["value"]
    assert full.fid.floor.n == full.fid.n == 150
    assert full.copies.verdict.startswith("copying") or full.copies.verdict.startswith("no sign")
    assert full.metrics.classes.fid[3].class_ == 3
    assert full.protocol.reference.shape == (1, 28, 28)
    assert bare.copies is None
    assert bare.fid.floor is None


def test_a_field_that_is_missing_is_named(reports):
    damaged = reports[0].plain()
    del damaged["metrics"]["kid"]["error"]
    with pytest.raises(UserError, match=r"missing required field `error` - at `\$\.metrics\.kid`"):
        Report.of(damaged)
    with pytest.raises(UserError, match="no whole report: Expected `object`"):
        Report.of([])


def test_fields_of_other_versions_are_left_out(reports):
    assert Report.of({**reports[0].plain(), "new": 1}) == reports[0]


def test_the_document_is_made_from_the_types():
    text = DOCUMENT.read_text()
    assert text.startswith(f"# report.json, schema {SCHEMA}\n")
    assert report_fields.filled(text) == text, "python -m tools.report_fields"


def test_every_type_has_a_table():
    own = [name for name, item in vars(types_of_report).items() if isinstance(item, type) and is_own(item)]
    assert len(own) > 20
    assert [name for name in own if f"### {name}\n" not in DOCUMENT.read_text()] == []


def is_own(item):
    return item.__module__ == types_of_report.__name__


def test_the_numbers_that_the_types_name_are_those_of_the_code():
    from fromnoise.evaluation import card, copies
    from fromnoise.evaluation import score as scoring

    text = DOCUMENT.read_text()
    for number in (card.EXTRAPOLATED, card.CLASSIFIED):
        assert f"bove {number:,} features" in text
    assert f"more than {scoring.MOST_TRAINED:,} training images" in text
    assert f"fewer than {copies.FEWEST} images" in text
