import json

import numpy as np
import pytest

from fromnoise.experiment import find, likelihood
from fromnoise.experiment.likelihood import Likelihoods
from fromnoise.faces import cli

UNDEFINED = Likelihoods("set", ("a", "b"), np.array([np.nan, 2.0]), np.array([0.1, np.inf]), np.nan, np.nan)


def refuse(name):
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_bits_that_are_no_number_are_undefined(flags, monkeypatch, capsys):
    monkeypatch.setattr(likelihood, "likelihoods", lambda *_: iter([UNDEFINED]))
    assert not cli.main(["likelihood", "digits", "set", *flags])
    printed = capsys.readouterr().out
    if not flags:
        assert printed.splitlines() == ["a\tundefined", "b\t2.0000", "set\tundefined\tmean of 2"]
        return
    (found,) = json.loads(printed, parse_constant=refuse)["results"]
    assert [row["bits"] for row in found["images"]] == [None, 2.0]
    assert found["mean"] == {"bits": None, "standard_error": None, "n": 2}


def test_a_name_takes_one_line(monkeypatch, capsys):
    odd = Likelihoods("a\n\x1b[8m.png", ("a\n\x1b[8m.png",), np.array([2.0]), np.array([0.1]), 2.0, 0.1)
    monkeypatch.setattr(find, "load_model", lambda *_: None)
    monkeypatch.setattr(likelihood, "likelihoods", lambda *_: iter([odd]))
    assert not cli.main(["likelihood", "run", "a"])
    assert capsys.readouterr().out == "a\\n\\x1b[8m.png\t2.0000\t± 0.1000\n"
