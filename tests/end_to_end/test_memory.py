"""Memory that grows with the images' own bytes and with nothing else, measured on the real command line."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise.data import arrays, folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc"),
]

MB = 1e6
BYTES = 4000 * 96 * 96 / MB
BOUND = 2 * BYTES + 32  # twice for a moment; the system's allocator may keep 20 MB more in one run than in the next


@pytest.fixture
def peaks(tmp_path):
    """The most memory that a command had: its own, and with the pages of files, in MB."""

    def watch(*words):
        command = [sys.executable, "-m", "fromnoise.faces.cli", *map(str, words)]
        own, whole = 0, 0
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                status = Path(f"/proc/{process.pid}/status").read_text()
                now = dict(line.split(":", 1) for line in status.splitlines())
                if "RssAnon" in now:
                    own = max(own, int(now["RssAnon"].split()[0]) * 1024 / MB)
                    whole = max(whole, int(now["VmHWM"].split()[0]) * 1024 / MB)
                time.sleep(0.02)
        assert process.returncode == 0
        return np.array([own, whole])

    return watch


@pytest.fixture
def images():
    """A function that gives n images of 96×96, and labels: 9 KB each in grey."""

    def make(n, channels=1):
        pixels = np.random.default_rng(n).integers(0, 256, (n, channels, 96, 96), dtype=np.uint8)
        return torch.from_numpy(pixels), torch.arange(n) % 10

    return make


@pytest.mark.parametrize("kind", ["npz", "folder"])
def test_evaluating_4000_more_images_takes_the_memory_of_their_bytes(tmp_path, peaks, images, kind):
    for name, n in (("few", 1000), ("many", 5000)):
        drawn, labels = images(n)
        if kind == "npz":
            arrays.save(tmp_path / f"{name}.npz", drawn, labels)
        else:
            folder.save(tmp_path / name, drawn, labels.tolist())
    suffix = ".npz" if kind == "npz" else ""
    against = ("--reference", "digits:heldout", "--train", "digits")
    few, many = (peaks("evaluate", "--generated", f"{name}{suffix}", *against) for name in ("few", "many"))
    assert (many - few < BOUND).all(), (few, many)


def test_sampling_4000_more_images_takes_the_memory_of_their_bytes(tmp_path, peaks, fromnoise):
    small = ("--preset", "tiny", "--channels", "8", "8", "--size", "96")
    fromnoise("train", *small, "--steps", "1", "--out", "run", cwd=tmp_path)
    few, many = (peaks("sample", "run", "--steps", 1, "--n", n, "--out", f"{n}.npz") for n in (1000, 5000))
    assert (many - few < BOUND).all(), (few, many)


@pytest.mark.parametrize("kind", ["folder", "npy"])
def test_training_on_more_images_than_memory_should_hold_takes_none_for_them(tmp_path, peaks, kind):
    """1,700 images of 256×256 are 334 MB: they lie in files, as do the parts that they are split into."""
    for name, n in (("few", 100), ("many", 1700)):
        pixels = np.random.default_rng(n).integers(0, 256, (n, 3, 256, 256), dtype=np.uint8)
        if kind == "npy":
            np.save(tmp_path / f"{name}.npy", pixels)
        else:
            folder.save(tmp_path / name, torch.from_numpy(pixels))
        del pixels
    suffix = ".npy" if kind == "npy" else ""
    small = ("--preset", "tiny", "--m", "None", "--channels", "8", "8", "--size", "256", "--steps", "1")
    few, many, again = (
        peaks("train", *small, "--data", f"{name}{suffix}", "--out", out)[0]
        for name, out in (("few", "a"), ("many", "b"), ("many", "c"))
    )
    assert max(many, again) - few < 100, (few, many, again)
