import pytest
import torch
from safetensors.torch import load_file

from fromnoise import tensors

resource = pytest.importorskip("resource", reason="needs limits that Windows lacks")


def test_what_is_saved_is_read_again(tmp_path):
    tensors.save(tmp_path / "a.safetensors", {"x": torch.arange(6.0).view(2, 3).T})
    assert torch.equal(load_file(tmp_path / "a.safetensors")["x"], torch.arange(6.0).view(2, 3).T)


def test_a_full_disk_is_the_systems_error_not_a_bug(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match=r"a\.safetensors cannot be written"):
            tensors.save(tmp_path / "a.safetensors", {"x": torch.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
