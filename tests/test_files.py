import os

import pytest

from fromnoise.files import read_json, whole, whole_folder, write_json


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


def test_the_temporary_lies_beside_its_file_hidden_and_with_its_suffix(tmp_path):
    with whole(tmp_path / "result.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".npz"


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


def test_a_folder_with_something_in_it_is_not_replaced(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("precious")
    with pytest.raises(OSError, match="out"), whole_folder(tmp_path / "out") as temporary:
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
