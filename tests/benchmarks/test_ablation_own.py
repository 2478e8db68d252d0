import dataclasses

import pytest

from benchmarks import ablation_own
from benchmarks.ablation_own import ROWS, Cell

PRESET = Cell("the preset", (), 700, 0, 700, 2_000_000, 0.0321, 0.9, 0.01, 0.1234, 0.5, "a CPU")


@pytest.mark.parametrize(("name", "more"), [("channels 64 128 128", False), ("stem 4", True)])
def test_a_row_takes_as_many_steps_as_cost_the_same(name, more):
    steps = ablation_own.equal_steps(ROWS[name].train, 700)
    assert (steps > 700) == more
    assert ablation_own.equal_steps((), 700) == 700


def test_the_table_has_a_line_for_each_row_in_their_order():
    row = dataclasses.replace(PRESET, row="guidance 1", auc=0.95)
    lines = ablation_own.table([row, PRESET]).splitlines()[2:]
    assert lines == [
        "| the preset |  | 700 | 2.0 M | 0.0321 | 0.900 ± 0.010 | 0.123 | 0.50 |",
        "| guidance 1 | `guidance 1.0` | 700 | 2.0 M | 0.0321 | 0.950 ± 0.010 | 0.123 | 0.50 |",
    ]
