"""Folders that are there, empty, and cannot be replaced by a finished one: they are filled."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import pytest

from fromnoise.errors import UserError
from fromnoise.files import whole_folder


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def write_some(path):
    with whole_folder(path) as temporary:
        (temporary / "file").write_text("new")
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text("new")


@pytest.mark.parametrize("name", [".", "../here", "{}"])
def test_the_current_folder_is_filled_and_stays_current(tmp_path, name):
    here = tmp_path / "here"
    here.mkdir()
    with contextlib.chdir(here):
        write_some(Path(name.format(here)))
        assert names(Path()) == ["deep", "deep/file", "file"]
    assert names(tmp_path) == ["here", "here/deep", "here/deep/file", "here/file"]


def busy(path):
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def test_an_empty_folder_that_cannot_be_removed_is_filled(tmp_path, monkeypatch):
    """Such as the mount point of a disk."""
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "rmdir", busy)
    write_some(tmp_path / "out")
    assert names(tmp_path) == ["out", "out/deep", "out/deep/file", "out/file"]


def test_a_folder_that_cannot_be_filled_stays_empty(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    real, left = shutil.move, [1]

    def full(*paths):
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left.pop()
        real(*paths)

    monkeypatch.setattr(Path, "rmdir", busy)
    monkeypatch.setattr(shutil, "move", full)
    with pytest.raises(UserError, match="out cannot be written"):
        write_some(tmp_path / "out")
    assert names(tmp_path) == ["out"]
