"""Pickles are never opened: the refusal prints a command that converts one."""

import shlex
import sys

import pytest
import torch

from fromnoise.data import arrays, sources
from fromnoise.errors import UserError


@pytest.mark.parametrize("held", ["images", "statistics"])
def test_a_pickle_is_converted_by_the_line_that_refuses_it(tmp_path, make_images, held, monkeypatch):
    """Whatever it is called: its name is no part of the program."""
    given = make_images(4) if held == "images" else {"mu": torch.zeros(2), "sigma": torch.eye(2)}
    torch.save(given, tmp_path / "it's $(mine).pt")
    (tmp_path / "it's $(mine).npz").write_text("precious")
    with pytest.raises(UserError, match="is a pickle") as refused:
        sources.load(str(tmp_path / "it's $(mine).pt"))
    code, names = str(refused.value).partition('python -c "')[2].rstrip("`").split('" ', 1)
    monkeypatch.setattr(sys, "argv", ["-c", *shlex.split(names)])
    exec(code, {})
    assert (tmp_path / "it's $(mine).npz").read_text() == "precious"
    new = tmp_path / "it's $(mine)-new.npz"
    if held == "images":
        assert torch.equal(arrays.load(new).images, given)
    else:
        assert [each.shape for each in arrays.numbers(new, ("mu", "sigma"))] == [(2,), (2, 2)]
