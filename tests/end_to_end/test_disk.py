"""Disks that are full or read-only, and run folders that are deleted: told by name, and nothing half-written."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest

from fromnoise.training.step import Step

resource = pytest.importorskip("resource", reason="needs limits that Windows lacks")

pytestmark = pytest.mark.usefixtures("few_digits")
TINY = ("--preset", "tiny", "--out", "run")
EVALUATE = ("evaluate", "--generated", "digits:val", "--n", "50", "--reference", "digits:heldout")


@contextlib.contextmanager
def disk_with(room):
    """Files cannot grow beyond so many bytes: what is written then fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def read_only(folder):
    """A folder on a disk that is read-only, also to the superuser, where that can be had."""
    if os.geteuid():
        places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        for place in places:
            place.chmod(0o555)
        try:
            yield
        finally:
            for place in places:
                place.chmod(0o755)
        return
    mount = ("mount", "--bind", folder, folder)
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        subprocess.run(("mount", "-o", "remount,bind,ro", folder), check=True)
        yield
    finally:
        subprocess.run(("umount", folder), check=True)


def one_line(done):
    lines = [line for line in done.stderr.splitlines() if " ETA " not in line]  # progress, on a machine that is busy
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("words", "out"),
    [
        (("sample", "digits", "--n", "16", "--steps", "2", "--out"), "out.npz"),
        (("sample", "digits", "--n", "16", "--steps", "2", "--out"), "out.png"),
        (("sample", "digits", "--n", "16", "--steps", "2", "--out"), "out"),
        ((*EVALUATE, "--json"), "out.json"),
        ((*EVALUATE, "--html"), "out.html"),
        (("data", "export", "digits:val", "--n", "16"), "out"),
    ],
)
def test_a_full_disk_names_the_file_and_leaves_nothing(fromnoise, tmp_path, words, out):
    with disk_with(300):
        refused = fromnoise(*words, out, cwd=tmp_path, code=2)
    assert f"fromnoise: {out} cannot be written (" in one_line(refused)
    assert list(tmp_path.iterdir()) == []


def test_a_training_on_a_full_disk_names_its_checkpoint_and_goes_on_once_there_is_room(finished, fromnoise, tmp_path):
    words = ("train", *TINY, "--steps", "4", "--checkpoint-every", "2")
    size = (finished / "run" / "checkpoints" / "000030" / "state.safetensors").stat().st_size
    with disk_with(size // 2):
        refused = fromnoise(*words, cwd=tmp_path, code=2)
    assert "fromnoise: run/checkpoints/000002 cannot be written (" in refused.stderr
    assert not any(path.name.startswith((".fromnoise", "000")) for path in (tmp_path / "run").rglob("*"))
    fromnoise(*words, cwd=tmp_path)
    assert (tmp_path / "run" / "checkpoints" / "000004").is_dir()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full is Linux's")
def test_standard_output_on_a_full_disk_is_named(process, tmp_path):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "fromnoise", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "fromnoise: standard output: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_finished_run_on_a_read_only_disk_does_nothing(finished, fromnoise, snapshot, tmp_path, command):
    shutil.copytree(finished / "run", tmp_path / "run")
    before = snapshot(tmp_path)
    with read_only(tmp_path / "run"):
        done = fromnoise(command, *TINY, cwd=tmp_path)
    assert "nothing to do" in done.stderr
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("command", "missing"),
    [("train", "checkpoints"), ("run", "checkpoints"), ("run", "report.json"), ("run", "report.html")],
)
def test_what_is_still_to_be_done_on_a_read_only_disk_is_refused_before_any_work(
    finished, fromnoise, snapshot, tmp_path, command, missing
):
    shutil.copytree(finished / "run", tmp_path / "run")
    gone = tmp_path / "run" / missing
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    before = snapshot(tmp_path)
    with read_only(tmp_path / "run"):
        refused = fromnoise(command, *TINY, cwd=tmp_path, code=2)
    assert "cannot be written" in one_line(refused)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("every", ["1", "1000"], ids=["found at a line of the log", "found at a checkpoint"])
def test_a_folder_that_is_deleted_while_its_training_runs_is_named_and_not_made_again(
    fromnoise, tmp_path, monkeypatch, every
):
    take = Step.__call__

    def deleting(self, k, rate):
        if k == 2:
            shutil.rmtree(tmp_path / "run")
        return take(self, k, rate)

    monkeypatch.setattr(Step, "__call__", deleting)
    words = ("train", *TINY, "--steps", "6", "--log-every", every)
    refused = fromnoise(*words, cwd=tmp_path, code=2)
    assert "fromnoise: run was deleted or moved during the training" in refused.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "runs/gone", "--out", "out.png"),
        ("likelihood", "runs/gone", "digits:val"),
        ("compare", "runs/gone", "runs/other"),
        ("evaluate", "--generated", "runs/gone", "--reference", "digits:heldout"),
        ("evaluate", "--generated", "digits:val", "--reference", "runs/gone/samples/images.npz"),
        ("lab", "--run", "runs/gone", "--out", "lab"),
        ("train", "--minutes", "+1", "--out", "runs/gone"),
    ],
)
def test_a_run_that_is_not_there_is_said_to_be_so(fromnoise, tmp_path, words):
    refused = one_line(fromnoise(*words, cwd=tmp_path, code=2))
    assert "runs/gone" in refused
    assert "it does not exist: was it deleted or moved?" in refused
