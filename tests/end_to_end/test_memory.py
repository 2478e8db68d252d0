"""Memory that grows with the images' own bytes and with nothing else, measured on the real command line."""

import os
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

# The network that tells images apart learns from batches of one size, however many images there are: it need not here.
# Images lie in a file from fewer bytes on than usual, so that fewer of them show it; digits to score against are few.
PROGRAM = """
import sys
from fromnoise.data import digits, mapped
from fromnoise.evaluation import two_sample
from fromnoise.faces import cli

digits.PARTS |= {"val": (3000, 3300), "heldout": (4000, 4300)}
mapped.LARGE = 1 << 26
two_sample.PASSES = 0
sys.exit(cli.main())
"""
MB = 1e6
FEW, MORE, SIDE = 128, 500, 192
BYTES = MORE * SIDE**2 / MB
BOUND = 2 * BYTES + 64  # twice for a moment, and what is kept of each image; float32 copies would take 4 more
# GNU's allocator gives large blocks back when they are free: it would keep some, which hides what more images take.
ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 22), "MALLOC_TRIM_THRESHOLD_": str(1 << 24)}


@pytest.fixture
def peaks(tmp_path):
    """The most memory that a command had: its own, and with the pages of files, in MB."""

    def watch(*words):
        command = [sys.executable, "-c", PROGRAM, *map(str, words)]
        own, whole = 0, 0
        environment = os.environ | ALLOCATOR
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, env=environment) as process:
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
    """A function that gives n images, and labels: few large ones show as much as many small ones, sooner."""

    def make(n):
        pixels = np.random.default_rng(n).integers(0, 256, (n, 1, SIDE, SIDE), dtype=np.uint8)
        return torch.from_numpy(pixels), torch.arange(n) % 10

    return make


def test_evaluating_more_images_takes_the_memory_of_their_bytes(tmp_path, peaks, images):
    seen = []
    for n in (FEW, FEW + MORE):
        arrays.save(tmp_path / f"{n}.npz", *images(n))
        seen.append(
            peaks("evaluate", "--generated", f"{n}.npz", "--reference", "digits:heldout", "--train", "digits:val")
        )
    few, many = seen
    assert (many - few < BOUND).all(), (few, many)


def test_sampling_more_images_takes_the_memory_of_their_bytes(tmp_path, peaks, fromnoise):
    small = ("--preset", "tiny", "--channels", "8", "8", "--size", str(SIDE))
    fromnoise("train", *small, "--steps", "1", "--out", "run", cwd=tmp_path)
    few, many = (peaks("sample", "run", "--steps", 1, "--n", n, "--out", f"{n}.npz") for n in (FEW, FEW + MORE))
    assert (many - few < BOUND).all(), (few, many)


@pytest.mark.parametrize("kind", ["folder", "npy"])
def test_training_on_more_images_than_memory_should_hold_takes_none_for_them(tmp_path, peaks, kind):
    """600 images of 256×256 are 118 MB: they lie in a file, and so does the part of them that is trained on.

    Batches are small: what a step takes varies by chance, and must not decide. Files are decoded only the first time.
    """
    for name, n in (("few", 100), ("many", 600)):
        pixels = np.random.default_rng(n).integers(0, 256, (n, 3, 256, 256), dtype=np.uint8)
        if kind == "npy":
            np.save(tmp_path / f"{name}.npy", pixels)
        else:
            folder.save(tmp_path / name, torch.from_numpy(pixels))
        del pixels
    suffix = ".npy" if kind == "npy" else ""
    small = ("--preset", "tiny", "--m", "None", "--channels", "8", "8", "--size", "256", "--batch", "4", "--steps", "1")
    few, *many = (
        peaks("train", *small, "--data", f"{name}{suffix}", "--out", out)[0]
        for name, out in (("few", "a"), ("many", "b"), *[("many", "c")] * (kind == "folder"))
    )
    assert max(many) - few < 30, (few, many)  # the few are in memory, with their part 36 MB
