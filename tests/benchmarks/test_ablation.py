import dataclasses

import pytest

from benchmarks import ablation
from benchmarks.ablation import Cell, Settings

BASE = Cell("the preset", 0, (), 600, 600, 4_100_000, 1000, "", 2.0, "a CPU")
ADAMW = dataclasses.replace(BASE, row="adamw", flags=("--optimizer", "adamw"), fid=3.0)


def line(table, row):
    (found,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_row_has_its_mean_and_deviation_and_is_held_against_the_preset_of_the_same_seeds():
    cells = [
        BASE,
        dataclasses.replace(BASE, seed=1, fid=4.0),
        ADAMW,
        dataclasses.replace(ADAMW, seed=1, fid=2.0),
        dataclasses.replace(ADAMW, seed=2, fid=4.0),  # for which the preset has not been trained
    ]
    table = ablation.table(cells, Settings())
    assert line(table, "the preset") == ["the preset", "", "600", "4.1 M", "3.00 ± 1.41", "2", ""]
    ratio = (1.5 * 0.5) ** 0.5
    told = ["adamw", "`--optimizer adamw`", "600", "4.1 M", "3.00 ± 1.00", "3", f"{ratio:.2f}×"]
    assert line(table, "adamw") == told


def test_one_seed_has_no_deviation_and_a_missing_row_no_line():
    table = ablation.table([BASE], Settings())
    assert line(table, "the preset")[4] == "2.00"
    assert "adamw" not in table


def test_a_cell_of_other_defaults_is_not_current():
    cell = dataclasses.replace(BASE, recipe=ablation.recipe(()))
    assert ablation.current(cell, Settings())
    for other in ({"recipe": "0" * 12}, {"budget": 300}, {"n": 500}, {"row": "adamw"}):
        assert not ablation.current(dataclasses.replace(cell, **other), Settings())


@pytest.mark.parametrize("flags", [("--batch", "32"), ("--stem", "4", "--channels", "128", "192"), ("--no-labels",)])
def test_a_row_costs_what_the_preset_does(flags):
    batch = 32 if "--batch" in flags else 64
    steps = ablation.equal_steps(flags, 600)
    assert steps * batch * ablation.cost(flags) == pytest.approx(600 * 64 * ablation.cost(()), rel=2e-3)


def test_every_row_is_a_configuration_of_its_own():
    assert len({ablation._config(flags, 10, 0) for flags in ablation.ROWS.values()}) == len(ablation.ROWS)
