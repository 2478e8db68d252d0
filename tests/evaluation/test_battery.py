"""A part of the battery (`python -m benchmarks.battery`, docs/battery.md): a case or more of each kind."""

import pytest

from benchmarks.battery import judge
from benchmarks.battery_cases import cases

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
