"""Part of the battery (`python -m benchmarks.battery`, docs/battery.md): some of each kind, and all that are quick."""

import json
from pathlib import Path

import pytest

from benchmarks import battery, battery_draws
from benchmarks.battery import FINDINGS, extractor, judge
from benchmarks.battery_cases import cases, world
from benchmarks.battery_draws import ALARMS, drawn, table
from benchmarks.shapes import families, shapes
from fromnoise.data.image_set import digests
from fromnoise.evaluation import score, two_sample
from fromnoise.evaluation.design import design_of
from fromnoise.evaluation.verdicts import verdicts

CASES = {f"{case.kind}, {case.sort}: {case.name}": case for case in cases()}
TOLD = "told apart from real images"
QUICK = 1.5
"""Seconds that a case took when battery.json was made."""
SOME = (
    "copies, digits: noise of 40 grey levels",
    "copies, digits: noise of 6; trained on 500 images, six times each",
    "copies, shapes: at 0.6 of their brightness",
    "damage, shapes: grey, 1",
    "variety, digits: a class is missing, without labels",
    "protocol, shapes: labels beside images drawn at random, or none",
)
REPORTED = {
    "real, digits: 500 fresh images": None,
    "copies, digits: saved as RGB": "copies",
    "damage, digits: elastic, 2": "close to real images",
    "variety, digits: 250 images twice each": "repeats",
    "variety, shapes: 20 of 1,000 are digits in colour": TOLD,
    "overlap, digits: 600 training images in the reference": "overlap",
    "damage, digits: 1 of 500 in orange": "close to real images",
    "variety, digits: labels of other images": "classes",
}
"""The question of a report that has a bad answer, if any."""
KEPT = json.loads((Path(battery.__file__).parent / "battery.json").read_text())
PART = sorted({*SOME, *(name for name in CASES if name in KEPT and KEPT[name]["seconds"] < QUICK)})


@pytest.mark.slow
@pytest.mark.parametrize("name", PART)
def test_the_score_is_not_fooled(name):
    found = judge(CASES[name])
    assert found.right, found


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTED)
def test_a_report_says_what_was_found(name, monkeypatch):
    if REPORTED[name] == TOLD:
        monkeypatch.setattr(score, "told_apart", two_sample.told_apart)  # in tests it learns next to nothing
    case = CASES[name]
    report = score.score(case.make(world(case.sort)), extractor("digits" if case.sort == "digits" else "general"))
    bad = {verdict.question for verdict in verdicts(report) if verdict.mark == "!"}
    assert REPORTED[name] in bad if REPORTED[name] else not bad


def test_no_two_cases_have_one_name_and_forty_or_more_are_judged_here():
    assert len(CASES) == len(cases())
    assert len(PART) >= 40
    assert {CASES[name].kind for name in {*PART, *REPORTED}} == {case.kind for case in cases()}


def test_the_document_has_every_case_as_it_was_judged():
    assert set(CASES) == {name for name, found in KEPT.items() if found["kind"] != "draw"}
    document = (Path(battery.__file__).parents[1] / "docs" / "battery.md").read_text()
    judged = [found for name, found in KEPT.items() if found["kind"] != "draw"]
    assert all(found["right"] for found in judged)
    assert f"{len(judged)} of {len(judged)} cases are as expected." in document
    draws = [found for found in KEPT.values() if found["kind"] == "draw"]
    assert f"What was found in {len(draws)} draws of fresh real images" in document
    assert all({"excess", "AUC"} <= found["numbers"].keys() for found in draws)
    assert sum(bool(found["found"]) for found in draws) <= len(draws) / 100 >= 2


@pytest.mark.parametrize(("k", "design"), [(0, "stratified"), (1, "random")])
def test_a_draw_is_of_real_images_that_its_parts_do_not_share(monkeypatch, k, design):
    monkeypatch.setattr(battery_draws, "pool", lambda _: shapes(2000, 9))
    sets = drawn("shapes", k)
    parts = [sets.generated, sets.reference, sets.floor, sets.train]
    assert [len(part) for part in parts] == [300, 300, 900, 500]
    assert len({digest for part in parts for digest in digests(part.images)}) == 2000
    assert design_of(sets.generated.labels, sets.reference.labels) == design


def test_draws_differ(monkeypatch):
    monkeypatch.setattr(battery_draws, "pool", lambda _: shapes(2500, 9))
    first, second = (digests(drawn("shapes", k).train.images) for k in (0, 2))
    assert 0 < len(set(first) & set(second)) < 500


def test_every_finding_is_counted_by_kind():
    def draw(sort, excess, *found):
        return {"sort": sort, "found": list(found), "numbers": {"excess": [excess, 1.0]}}

    assert list(ALARMS) == list(FINDINGS)
    said = table([draw("shapes", 2.5), draw("shapes", 4.0, "worse", "copying"), draw("digits", -5.0)])
    assert "| worse | 0.1 % | 1 | 0 | 1 |" in said
    assert "| copying | 0.13 % | 1 | 0 | 1 |" in said
    assert "| any |  | 1 | 0 | 1 |" in said
    assert "In standard errors, the excess is 0.50 ± 3.94 (mean and deviation)" in said
    assert said.endswith("It is above 1.96, a level of 2.5 %, in 2 draws.")


def test_families_are_not_divided_and_no_generated_image_is_of_one(monkeypatch):
    monkeypatch.setattr(battery_draws, "pool", lambda _: families(2_000, 700, 9))
    sets = drawn("families", 0)
    ours, theirs = sets.reference.groups.tolist(), sets.train.groups.tolist()
    assert not set(ours) & set(theirs)
    assert len(ours) / len(set(ours)) > 1.3
    assert len(sets.generated) == 340
    assert sets.generated.groups is None
    assert len(sets.floor) == len(sets.train)
