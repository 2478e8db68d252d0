import pytest

from benchmarks import scoring


@pytest.mark.slow
def test_shapes_are_scored_and_time_and_memory_told(capsys):
    scoring.main(scoring.Settings(numbers=(60,), times=1))
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| 60 "))
    _, _, seconds, memory, _ = row.split("|")
    assert float(seconds) > 1
    assert 100 < float(memory.removesuffix("MB ").replace(",", "")) < 1500
