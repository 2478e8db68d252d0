import dataclasses
from itertools import product

import pytest

from benchmarks import own
from benchmarks.own import Cell, Settings
from fromnoise.errors import UserError

CELL = Cell(
    contender="fromnoise",
    images="emoji",
    size=32,
    minutes=10,
    seed=0,
    steps=2000,
    n=348,
    auc=0.6,
    auc_error=0.05,
    p=0.01,
    excess=0.02,
    excess_error=0.01,
    floor=0.1,
    recall=0.7,
    real_recall=0.88,
    gap=0.2,
    copies="no sign of copying",
    guidance=1.0,
    system="a CPU",
)


def cells(line):
    return [each.strip() for each in line.strip("|").split("|")]


def test_seeds_share_a_line_and_budgets_do_not():
    table = own.table([CELL, dataclasses.replace(CELL, seed=1, auc=0.7), dataclasses.replace(CELL, minutes=30)])
    ten, thirty = map(cells, table.splitlines()[2:])
    assert ten[3:] == ["10", "2", "2,000", "0.650 ± 0.071", "0.020 ± 0", "0.70 (0.88)", "+20%"]
    assert thirty[3:7] == ["30", "1", "2,000", "0.600 (0.05)"]


def test_a_contender_without_a_gap_or_a_floor_leaves_these_blank():
    line = dataclasses.replace(CELL, excess=None, excess_error=None, gap=None, real_recall=None)
    assert cells(own.table([line]).splitlines()[2])[7:] == ["", "0.70", ""]


def test_ten_minutes_are_trained_thrice_and_every_set_at_both_sizes():
    wanted = own.asked_cells(Settings())
    assert {seed for *_, minutes, seed in wanted if minutes == 10} == {0, 1, 2}
    assert {seed for *_, minutes, seed in wanted if minutes != 10} == {0}
    assert {(name, size) for _, name, size, *_ in wanted} == set(product(own.SETS, (32, 64)))


def test_a_package_that_cannot_be_fetched_says_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"npm pack .* failed .*fetch the package another way, into .*emoji"):
        own.fetched("emoji", Settings(data=tmp_path))
    assert not (tmp_path / "emoji.json").exists()


def test_unknown_sets_are_named(tmp_path):
    with pytest.raises(UserError, match="no such set: photos; choose of emoji, icons, fashion"):
        own.main(Settings(sets=("photos",), out=tmp_path))
