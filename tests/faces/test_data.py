"""`fromnoise data export`."""

import pytest

from fromnoise.data import arrays
from fromnoise.faces import cli


@pytest.fixture
def export(capsys, monkeypatch, tmp_path):
    """A function that exports in a new current folder; gives the exit code and what stderr shows."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = cli.main(["data", "export", *words])
        return code, capsys.readouterr().err

    return call


def test_an_array_is_replaced_where_overwrite_says_so(export, tmp_path):
    export("digits:val", "images.npz", "--n", "10")
    code, said = export("digits:val", "images.npz", "--n", "20")
    assert code == 2
    assert "--overwrite" in said
    assert export("digits:val", "images.npz", "--n", "20", "--overwrite")[0] == 0
    assert len(arrays.load(tmp_path / "images.npz")) == 20
