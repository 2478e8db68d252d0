"""A part of the battery (`python -m benchmarks.battery`, docs/battery.md): a case or more of each kind."""

import pytest

from benchmarks import battery_draws
from benchmarks.battery import FINDINGS, judge
from benchmarks.battery_cases import cases
from benchmarks.battery_draws import LEVELS, drawn, table
from benchmarks.shapes import shapes
from fromnoise.data.image_set import digests
from fromnoise.evaluation.design import design_of

CASES = {f"{case.kind}, {case.sort}: {case.name}": case for case in cases()}
PART = (
    "real, digits: 500 fresh images",
    "copies, digits: noise of 40 grey levels",
    "copies, digits: saved as RGB",
    "copies, digits: noise of 6; trained on 500 images, six times each",
    "copies, shapes: at 0.6 of their brightness",
    "damage, shapes: grey, 1",
    "damage, digits: elastic, 2",
    "variety, digits: a class is missing, without labels",
    "overlap, digits: 600 training images in the reference",
    "protocol, shapes: labels beside images drawn at random, or none",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", PART)
def test_the_score_is_not_fooled(name):
    found = judge(CASES[name])
    assert found.right, found


def test_there_are_forty_cases_and_no_two_have_one_name():
    assert len(CASES) == len(cases()) >= 40


@pytest.mark.parametrize(("k", "design"), [(0, "stratified"), (1, "random")])
def test_a_draw_is_of_real_images_that_its_parts_do_not_share(monkeypatch, k, design):
    monkeypatch.setattr(battery_draws, "pool", lambda _: shapes(2000, 9))
    sets = drawn("shapes", k)
    parts = [sets.generated, sets.reference, sets.floor, sets.train]
    assert [len(part) for part in parts] == [300, 300, 900, 500]
    assert len({digest for part in parts for digest in digests(part.images)}) == 2000
    assert design_of(sets.generated.labels, sets.reference.labels) == design


def test_draws_differ(monkeypatch):
    monkeypatch.setattr(battery_draws, "pool", lambda _: shapes(3000, 9))
    first, second = (digests(drawn("shapes", k).train.images) for k in (0, 2))
    assert 0 < len(set(first) & set(second)) < 500


def test_every_finding_is_counted_by_kind():
    def draw(sort, excess, *found):
        return {"sort": sort, "found": list(found), "numbers": {"excess": [excess, 1.0]}}

    assert list(LEVELS) == list(FINDINGS)
    said = table([draw("shapes", 2.5), draw("shapes", 4.0, "worse", "copying"), draw("digits", -5.0)])
    assert "| worse | 0.1 % | 1 | 0 | 1 |" in said
    assert "| copying | 0.13 % | 1 | 0 | 1 |" in said
    assert "| any |  | 1 | 0 | 1 |" in said
    assert "The excess is 0.50 ± 3.94 of its standard errors" in said
    assert said.endswith("above 1.96 of them, a level of 2.5 %, in 2.")
