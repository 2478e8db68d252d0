import pytest

import fromnoise
from benchmarks import denoising
from fromnoise.errors import UserError


def test_models_are_compared_level_by_level(tmp_path):
    for name, words in (("a", {}), ("b", {"seed": 1}), ("small", {"size": "8"})):
        words = {"m": 100, "channels": (8,), "steps": 2} | words
        fromnoise.train("digits", out=tmp_path / name, preset="tiny", quiet=True, **words)
    runs = tmp_path / "a", tmp_path / "a", tmp_path / "b"
    first, same, other = denoising.measured(denoising.Settings(runs, (2.0, -2.0)))
    assert first[0] == "a"
    assert all(float(error) > 0 for error in first[1:])
    assert list(same[1:]) == ["+0.0 ± 0.0 %"] * 2
    assert list(other[1:]) != list(same[1:])
    with pytest.raises(UserError, match="small has other validation images than"):
        list(denoising.measured(denoising.Settings((tmp_path / "a", tmp_path / "small"), (2.0,))))
