"""The typed report against real reports, and docs/report.md against the types that it is made from."""

import json
import math
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from fromnoise.data import digits
from fromnoise.errors import UserError
from fromnoise.evaluation import provenance
from fromnoise.evaluation import report as types_of_report
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.report import FEWEST, SCHEMA, Report
from fromnoise.evaluation.score import Comparison, score
from tools import report_fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.fixture(scope="module")
def reports():
    """One where all is known, and one where as little as possible is."""
    halves = Features("halves", 2, "", lambda images: images.double().mean(dim=3).reshape(len(images), 2, -1).mean(2))
    val, heldout, train = (digits.load(part).subset(300, 0) for part in ("val", "heldout", "train"))
    bare = val.subset(50, 0)
    bare = type(bare)("bare", bare.images)
    few = Comparison(bare, heldout.subset(50, 0))
    return score(Comparison(val.subset(150, 0), heldout, val, train), halves), score(few, halves)


def test_every_field_of_a_report_has_its_type(reports):
    for report in reports:
        assert Report.of(report.plain()) == report


def test_a_report_is_read_by_names(reports):
    full, bare = reports
    assert full.fid.value == full.plain()["metrics"]["fid"]["value"]
    assert full.fid.floor.n == full.fid.n == 150
    assert full.copies.verdict.startswith("copying") or full.copies.verdict.startswith("no sign")
    assert full.classes.fid[3].class_ == 3
    assert full.protocol.reference.shape == (1, 28, 28)
    assert bare.copies is None
    assert bare.fid.floor is None


def test_a_field_that_is_missing_is_named(reports):
    damaged = reports[0].plain()
    del damaged["metrics"]["kid"]["error"]
    with pytest.raises(
        UserError, match=r"x.json is not a complete report: .* missing required field `error` - at `\$\.metrics"
    ):
        Report.of(damaged, "x.json")
    with pytest.raises(UserError, match="not a complete report: Expected `object`"):
        Report.of([])


def test_reports_of_other_versions_are_refused(reports):
    with pytest.raises(UserError, match=rf"this is a report of another version \(schema 3, not {SCHEMA}\)"):
        Report.of({**reports[0].plain(), "schema": 3})


def test_numbers_that_are_not_finite_can_be_read_back(reports):
    full, _ = reports
    damaged = replace(
        full,
        noise=replace(full.noise, value=math.inf),
        excess=replace(full.excess, low=-math.inf, ratio=None),
        metrics={**full.metrics, "kid": replace(full.metrics["kid"], value=math.nan)},
        classes=replace(full.classes, balance=replace(full.classes.balance, expected=(1.0, math.inf), p=math.nan)),
    )
    found = Report.of(json.loads(json.dumps(damaged.plain(), allow_nan=False)))
    assert math.isnan(found.noise.value)
    assert math.isnan(found.excess.low)
    assert found.excess.ratio is None
    assert math.isnan(found.metrics["kid"].value)
    assert math.isnan(found.classes.balance.expected[1])
    assert found.copies == full.copies


def test_fields_of_other_versions_are_left_out(reports):
    assert Report.of({**reports[0].plain(), "new": 1}) == reports[0]


def test_the_document_is_made_from_the_types():
    text = DOCUMENT.read_text()
    assert text.startswith(f"# report.json, schema {SCHEMA}\n")
    assert report_fields.filled(text) == text, "python -m tools.report_fields"


def test_every_type_has_a_table():
    types = vars(types_of_report) | vars(provenance)
    own = [name for name, item in types.items() if isinstance(item, type) and issubclass(item, msgspec.Struct)]
    assert len(own) > 25
    assert [name for name in own if f"### {name}\n" not in DOCUMENT.read_text()] == []


def test_the_numbers_that_the_types_name_are_those_of_the_code():
    from fromnoise.evaluation import classes

    text = DOCUMENT.read_text()
    assert f"bove {classes.CLASSIFIED:,} features" in text
    assert f"fewer than {FEWEST} images" in text
