from types import SimpleNamespace

import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.training import device


@pytest.fixture
def of_two(monkeypatch):
    """A launcher's two processes on this machine, before Accelerate is asked."""
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")


def test_more_processes_than_gpus_are_refused(of_two, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="2 processes need 2 GPUs, but there are 1"):
        device.accelerator("cuda")


def test_processes_that_are_not_joined_are_refused(of_two, monkeypatch):
    found = SimpleNamespace(device=torch.device("mps"), num_processes=1)
    monkeypatch.setattr(device, "Accelerator", lambda **settings: found)
    with pytest.raises(UserError, match="2 processes were started, and each would train alone on mps"):
        device.accelerator("auto")


def test_work_for_one_process_has_any_device_at_any_time(monkeypatch):
    """Accelerate would keep to the first."""
    with device.UNDECIDED:
        assert device.alone("cpu") == torch.device("cpu")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert device.alone("auto") == device.alone("cuda") == torch.device("cuda")
        assert device.alone("cpu") == torch.device("cpu")
        monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
        assert device.alone("auto") == torch.device("cpu")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(UserError, match="--device cuda is not available here"):
            device.alone("cuda")


def test_launchers_say_how_many_processes_there_are(monkeypatch):
    for name in device.WORLDS:
        monkeypatch.delenv(name, raising=False)
    assert device.launched() == 1
    monkeypatch.setenv("WORLD_SIZE", "")
    monkeypatch.setenv("PMI_SIZE", "3")
    assert device.launched() == 3


def test_processes_that_see_different_things_are_refused(monkeypatch):
    facts = [("here", {"settings": 1, "images": "a"}), ("there", {"settings": 1, "images": "b"})]
    monkeypatch.setattr(device, "gather_object", lambda mine: facts)
    with pytest.raises(UserError, match="process 1 on there does not have the same images as process 0 on here"):
        device.check_alike(SimpleNamespace(num_processes=2), facts[0][1])
    facts[1] = ("there", facts[0][1])
    device.check_alike(SimpleNamespace(num_processes=2), facts[0][1])


def test_only_the_loss_of_a_process_is_told_as_such(monkeypatch):
    gone, other = RuntimeError("[pair.cc:537] Read error: Connection reset by peer."), RuntimeError("size mismatch")
    with pytest.raises(RuntimeError, match="reset by peer"), device.connected():
        raise gone
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="another process has stopped"), device.connected():
        raise gone
    with pytest.raises(RuntimeError, match="size mismatch"), device.connected():
        raise other
