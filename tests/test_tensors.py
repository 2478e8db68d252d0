import random
from itertools import permutations

import pytest
import torch
from safetensors.torch import save_file

from fromnoise import tensors
from fromnoise.errors import UserError
from fromnoise.tensors import DamagedFile

SOME = {
    "x": torch.arange(6.0).view(2, 3).T,
    "half": torch.ones(3, dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.zeros(0),
}
ABOUT = {"name": "ö", "numbers": [1, 0.1, None], "nested": {"b": 1, "a": True}}


def test_what_is_saved_is_read_again(tmp_path):
    tensors.save(tmp_path / "a.safetensors", SOME, ABOUT)
    back, about = tensors.load(tmp_path / "a.safetensors")
    assert about == ABOUT
    assert back.keys() == SOME.keys()
    assert all(torch.equal(back[name], SOME[name]) and back[name].dtype == SOME[name].dtype for name in SOME)


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    path, chance = tmp_path / "a.safetensors", random.Random(0)
    tensors.save(path, SOME, ABOUT)
    whole = path.read_bytes()
    for bit in chance.sample(range(8 * len(whole)), 1000):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            back, about = tensors.load(path)
        except DamagedFile:
            continue
        same = back.keys() == SOME.keys() and all(torch.equal(back[name], SOME[name]) for name in SOME)
        assert same, f"bit {bit} changed a tensor"
        assert about == ABOUT, f"bit {bit} changed what is said of them"


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(length, tmp_path):
    path = tmp_path / "a.safetensors"
    tensors.save(path, SOME, ABOUT)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedFile, match="not a complete safetensors file"):
        tensors.load(path)


def test_files_without_a_checksum_and_no_files_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(DamagedFile, match="no checksum"):
        tensors.load(tmp_path / "foreign.safetensors")
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DamagedFile, match="cannot be read"):
            tensors.load(path)


def test_equal_tensors_are_equal_files_in_any_order(tmp_path):
    """Of the names, and of metadata, which safetensors writes in another order each time."""
    for k, names in enumerate(permutations("bac")):
        tensors.save(tmp_path / f"{k}.safetensors", {name: torch.ones(2) for name in names}, {"k": 1})
    assert len({file.read_bytes() for file in tmp_path.iterdir()}) == 1


def test_a_full_disk_is_the_users_to_put_right(tmp_path):
    resource = pytest.importorskip("resource", reason="needs limits that Windows lacks")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(UserError, match=r"a\.safetensors cannot be written"):
            tensors.save(tmp_path / "a.safetensors", {"x": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
