import errno
import os
import re
from pathlib import Path
from typing import TypedDict

import pytest

from fromnoise import files
from fromnoise.errors import UserError
from fromnoise.files import (
    check_deflated,
    check_writable,
    expanded,
    move,
    read_bytes,
    read_json,
    reading,
    whole,
    whole_folder,
    write_json,
)


class Interrupted(BaseException):
    """What Ctrl-C raises is no Exception either."""


def write_and_raise(path, error):
    with whole(path) as temporary:
        temporary.write_text("ne")
        raise error


def fill_and_raise(path, error):
    with whole_folder(path) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text("ne")
        raise error


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_takes_its_place_when_the_block_ends(tmp_path):
    path = tmp_path / "a" / "b" / "result.txt"
    with whole(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["result.txt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with whole(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["result.txt"]


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_block_that_raises_leaves_the_old_file_and_no_temporary(tmp_path, error):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(error):
        write_and_raise(path, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["result.txt"]


def test_a_block_that_raises_makes_no_file(tmp_path):
    with pytest.raises(ValueError, match="half way"):
        write_and_raise(tmp_path / "result.txt", ValueError("half way"))
    assert names(tmp_path) == []


def test_the_temporary_lies_hidden_beside_its_file_and_has_its_name(tmp_path):
    with whole(tmp_path / "result.npz") as temporary:
        temporary.write_text("new")
        assert (temporary.parent.parent, temporary.name) == (tmp_path, "result.npz")
        assert temporary.parent.name.startswith(".")


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "result.txt"
    with whole(path) as one, whole(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # whose block ended last
    assert names(tmp_path) == ["result.txt"]


def test_a_file_has_the_permissions_of_any_other(tmp_path, umask):
    with whole(tmp_path / "result.txt") as temporary:
        temporary.write_text("new")
    assert mode(tmp_path / "result.txt") == 0o666 & ~umask
    assert os.umask(umask) == umask  # asking for it did not change it


def test_a_folder_takes_its_place_when_the_block_ends(tmp_path):
    path = tmp_path / "a" / "out"
    with whole_folder(path) as temporary:
        (temporary / "deep" / "er").mkdir(parents=True)
        (temporary / "deep" / "er" / "file").write_text("new")
        assert not path.exists()
    assert (path / "deep" / "er" / "file").read_text() == "new"
    assert names(tmp_path) == ["a", "a/out", "a/out/deep", "a/out/deep/er", "a/out/deep/er/file"]


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_block_that_raises_leaves_no_folder(tmp_path, error):
    with pytest.raises(error):
        fill_and_raise(tmp_path / "out", error)
    assert names(tmp_path) == []


def test_an_empty_folder_is_replaced_when_the_block_ends_and_stays_if_it_raises(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(Interrupted):
        fill_and_raise(tmp_path / "out", Interrupted)
    assert names(tmp_path) == ["out"]
    with whole_folder(tmp_path / "out") as temporary:
        (temporary / "file").write_text("new")
    assert names(tmp_path) == ["out", "out/file"]


def test_a_folder_with_something_in_it_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(UserError, match="out cannot be written"), whole_folder(tmp_path / "out") as temporary:
        (temporary / "file").write_text("new")
    assert names(tmp_path) == ["out", "out/mine"]
    assert (tmp_path / "out" / "mine").read_text() == "precious"


def test_a_folder_and_all_in_it_have_the_permissions_of_any_other(tmp_path, umask):
    with whole_folder(tmp_path / "out") as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text("new")
        with whole(temporary / "deep" / "other") as file:
            file.write_text("new")
    for path in (tmp_path / "out", tmp_path / "out" / "deep"):
        assert mode(path) == 0o777 & ~umask
    for path in (tmp_path / "out" / "deep").iterdir():
        assert mode(path) == 0o666 & ~umask


def test_json_comes_back_as_it_was(tmp_path):
    value = {"name": "σ ≤ 1", "list": [1, 2.5, None, True], "nested": {"a": "b"}}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert (tmp_path / "value.json").read_text().endswith("}\n")


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path) == {"old": 1}
    assert names(tmp_path) == ["value.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1, 2]",
        b"7",
        b'"text"',
        b"null",
        b"\xff\xfe{}",
        b"[" * 100_000,
        b'{"a": ' * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"{}{}",
        b"\0" * 100,
    ],
    ids=range(12),
)
def test_what_is_no_json_object_is_refused_by_name_in_one_line(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"{path} is not a complete JSON file")) as refused:
        read_json(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_letters_that_move_a_terminals_cursor_are_not_shown(tmp_path):
    with pytest.raises(UserError) as refused, reading(tmp_path, "good"):
        raise ValueError("a\n\tb\x1b[31m\0c" + "x" * 1000)
    assert str(refused.value).startswith(f"{tmp_path} is not good (a b [31m c")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < len(str(tmp_path)) + 300


def test_what_cannot_be_read_is_told_from_nonsense(tmp_path):
    with pytest.raises(UserError, match=r"missing.json cannot be read \(No such file or directory\)"):
        read_json(tmp_path / "missing.json")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        read_json(tmp_path)


class Kid(TypedDict):
    value: float


class Form(TypedDict):
    step: int
    kid: Kid
    share: float | None
    name: str


FITS = {"step": 1, "kid": {"value": 0.5}, "share": None, "name": "a"}


def test_an_object_that_has_what_it_must_have_may_have_more(tmp_path):
    write_json(tmp_path / "value.json", FITS | {"more": []})
    assert read_json(tmp_path / "value.json", Form) == FITS | {"more": []}


@pytest.mark.parametrize(
    "change",
    [
        {"step": 1.5},
        {"step": "1"},
        {"kid": {}},
        {"kid": [0.5]},
        {"kid": {"value": None}},
        {"kid": {"value": float("nan")}},
        {"share": float("inf")},
        {"share": 10**400},
        {"name": 7},
    ],
)
def test_an_object_of_another_form_is_refused_by_name(tmp_path, change):
    path = tmp_path / "value.json"
    write_json(path, FITS | change)
    with pytest.raises(UserError, match=r"value\.json is not"):
        read_json(path, Form)


def test_a_field_that_is_missing_is_named(tmp_path):
    write_json(tmp_path / "value.json", {"step": 1})
    with pytest.raises(UserError, match="missing required field `kid`"):
        read_json(tmp_path / "value.json", Form)


def test_a_file_that_is_too_long_is_not_read(tmp_path):
    path = tmp_path / "long"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    with pytest.raises(ValueError, match="1,099,512 MB, more than the 1 allowed"):
        read_bytes(path, 1_000_000)
    with pytest.raises(UserError, match="long is not a complete JSON file"):
        read_json(path)


@pytest.mark.parametrize(("size", "packed"), [(10_000, 5), (10**12, 1 << 20), (200 << 30, 1 << 30)])
def test_bytes_that_cannot_hold_what_they_say_are_refused(size, packed):
    with pytest.raises(ValueError, match="claim to hold"):
        check_deflated(size, packed)
    check_deflated(1000 * packed if packed < 1 << 20 else 99 * packed, packed)


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("write", [write_and_raise, fill_and_raise])
def test_a_full_disk_names_the_file_that_was_to_be_and_leaves_nothing(tmp_path, write):
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'out'} cannot be written (No space left on device)")):
        write(tmp_path / "out", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert names(tmp_path) == []


def test_a_disk_that_is_full_only_when_it_is_flushed_does_too(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=re.escape(f"{tmp_path / 'out'} cannot be written")), whole(tmp_path / "out"):
        pass
    assert names(tmp_path) == []


def test_a_file_that_a_scanner_still_reads_is_waited_for(tmp_path, monkeypatch):
    replace, tries = os.replace, []

    def held(path, target):
        tries.append(path)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "the file is in use")
        replace(path, target)

    monkeypatch.setattr(os, "replace", held)
    monkeypatch.setattr(files, "WAITS", (0, 0))
    (tmp_path / "new").write_text("new")
    move(tmp_path / "new", tmp_path / "old")
    assert (len(tries), names(tmp_path)) == (3, ["old"])
    monkeypatch.setattr(files, "WAITS", (0,))
    tries.clear()
    with pytest.raises(PermissionError):
        move(tmp_path / "old", tmp_path / "new")


@pytest.mark.parametrize("there", [True, False], ids=["a file for a folder", "a drive that is not there"])
def test_where_nothing_can_be_written_is_said_before_the_work(tmp_path, monkeypatch, there):
    (tmp_path / "file").touch()
    check_writable(tmp_path / "new" / "folder" / "out")
    if not there:
        monkeypatch.setattr(type(tmp_path), "exists", lambda path: False)
        monkeypatch.setattr(files, "is_writable", lambda folder: False)
    with pytest.raises(UserError, match="is not a folder you may write to"):
        check_writable(tmp_path / "file" / "out")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(("number", "may"), [(errno.EROFS, False), (errno.EACCES, False), (errno.ENOSPC, True)])
def test_a_full_disk_is_no_lack_of_rights(tmp_path, monkeypatch, number, may):
    def touch(path, exist_ok):
        raise OSError(number, os.strerror(number))

    assert files.is_writable(tmp_path)
    assert names(tmp_path) == []
    monkeypatch.setattr(type(tmp_path), "touch", touch)
    assert files.is_writable(tmp_path) == may


def test_a_file_in_a_folder_that_is_to_be_is_told_by_the_folders_name(tmp_path):
    with pytest.raises(UserError) as refused, whole_folder(tmp_path / "out") as folder:  # noqa: SIM117
        with whole(folder / "file"):
            full()
    assert str(refused.value) == f"{tmp_path / 'out'} cannot be written (No space left on device)"
    assert names(tmp_path) == []


def test_a_pattern_that_the_shell_left_stands_for_what_it_matches(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").touch()
    (tmp_path / ".DS_Store").touch()
    assert expanded(tmp_path / "*" / "report.json") == [tmp_path / "a" / "report.json", tmp_path / "b" / "report.json"]
    assert expanded(tmp_path / "*") == [tmp_path / "a", tmp_path / "b"]
    assert expanded(tmp_path / "c*") == [tmp_path / "c*"]
    assert expanded(Path("a")) == [Path("a")]
