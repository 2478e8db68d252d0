"""Trainings shared by two processes on this machine, against the same training in one."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest
from safetensors.torch import load_file

from fromnoise.generation.model import Model

WORDS = (
    "train", "--preset", "tiny", "--steps", "24", "--log-every", "1", "--checkpoint-every", "8", "--augment", "0.5",
    "--lr", "5e-3", "--device", "cpu", "--out", "run",
)  # fmt: skip
MUON, ADAMW = (*WORDS, "--optimizer", "muon"), (*WORDS, "--optimizer", "adamw")
GUIDE = (Path(__file__).parents[2] / "docs" / "scale-out.md").read_text()
ON_CPU, _, ON_MACHINES = re.findall(r"^.*torchrun (.+) -m fromnoise train", GUIDE, re.MULTILINE)
TORCHRUN = ("-m", "torch.distributed.run", *ON_CPU.split(), "-m", "fromnoise")
SECONDS = 180  # for any process, on a slow machine with other work
# A training changed a little: {step} is done before each of its steps.
PROGRAM = """
import os, signal, sys, time
from fromnoise.faces import cli
from fromnoise.training import optimizers, step

real = step.Step.__call__

def changed(self, k, rate):
    {step}
    return real(self, k, rate)

step.Step.__call__ = changed
optimizers.precisions = lambda device: ("fp32",)  # of Muon, so that the two sums differ by float32's rounding alone
cli.start()
"""
SLOW = ("-c", PROGRAM.format(step="time.sleep(0.1)"))
DIES = (
    "-c",
    PROGRAM.format(step="if k == 13 and self.accelerator.process_index: os.kill(os.getpid(), signal.SIGKILL)"),
)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def two(*words, cwd, program=("-m", "fromnoise")):
    """Both processes of such a command, started as a launcher would; none outlives the block."""
    here = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", **here}
    processes = [
        subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=cwd,
            env={**os.environ, **world, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def ends(processes):
    """Their exit codes and what they said, once they have ended."""
    said = [process.communicate(timeout=SECONDS)[1] for process in processes]
    return [process.returncode for process in processes], said


def log(place):
    return [json.loads(line) for line in (place / "run" / "log.jsonl").read_text().splitlines()]


def assert_alike(place, other, losses, weights):
    """The same training: its losses to that relative error, and each parameter to that share of its way."""
    one, two = log(place), log(other)
    assert [record["step"] for record in one] == [record["step"] for record in two] == list(range(1, 25))
    assert [record["loss"] for record in one] == pytest.approx([record["loss"] for record in two], rel=losses)
    files = [folder / "run" / "checkpoints" / "000024" / "model.safetensors" for folder in (place, other)]
    model = Model.load(files[0])
    first = Model.build(model.config, model.info).network.state_dict()
    ours, theirs = map(load_file, files)
    for name, weight in first.items():
        moved = (theirs[name] - weight).norm()
        assert moved > 0, name
        assert (ours[name] - theirs[name]).norm() <= weights * moved, name


FLOAT32 = {"losses": 1e-5, "weights": 1e-3}  # measured 5e-7 and 1.4e-5
MUON_IN_BF16 = {"losses": 1e-2, "weights": 0.2}  # measured 1e-3 and 0.05: steps' smallest directions are rounding


@pytest.fixture(scope="module")
def muon(fromnoise, tmp_path_factory):
    """A folder with the same training in one process: by Muon in float32."""
    place = tmp_path_factory.mktemp("muon")
    with mock.patch("fromnoise.training.optimizers.precisions", return_value=("fp32",)):
        fromnoise(*MUON, cwd=place)
    return place


@pytest.fixture(scope="module")
def adamw(fromnoise, tmp_path_factory):
    """The same by AdamW."""
    place = tmp_path_factory.mktemp("adamw")
    fromnoise(*ADAMW, cwd=place)
    return place


@pytest.mark.slow
def test_two_processes_train_as_one_does(muon, process, tmp_path):
    without_gpus = {"CUDA_VISIBLE_DEVICES": ""}
    done = process(*MUON, "--device", "auto", cwd=tmp_path, program=TORCHRUN, environment=without_gpus)
    assert done.stderr.count("2 processes share each batch of 16 images, 8 each") == 1
    assert done.stderr.count("trained 24 steps") == 1
    assert done.stdout.count("model.safetensors") == 1
    assert_alike(tmp_path, muon, **MUON_IN_BF16)
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["000016", "000024"]
    assert not list((tmp_path / "run").rglob(".*"))


def test_one_of_several_processes_ends_without_pythons_clean_up_which_gloos_threads_may_abort(process, tmp_path):
    program = ("-c", "import atexit, os; from fromnoise.faces import cli; atexit.register(os.abort); cli.start()")
    done = process("--version", cwd=tmp_path, program=program, environment={"RANK": "1"})
    assert done.stdout.startswith("fromnoise ")
    nonsense = process("paint", cwd=tmp_path, program=program, environment={"RANK": "1"}, code=2)
    assert "unknown command 'paint'" in nonsense.stderr
    process("--version", cwd=tmp_path, program=program, code=-signal.SIGABRT)


def test_ctrl_c_in_one_of_two_saves_once_and_one_process_goes_on(adamw, fromnoise, tmp_path):
    with two(*ADAMW, cwd=tmp_path, program=SLOW) as processes:
        deadline = time.monotonic() + SECONDS
        while not (tmp_path / "run" / "log.jsonl").exists() or not log(tmp_path):
            assert time.monotonic() < deadline
            assert processes[0].poll() is None
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGINT)
        codes, said = ends(processes)
    assert codes == [130, 130], said
    stopped = log(tmp_path)[-1]["step"]
    assert stopped < 24
    assert f"stopped at step {stopped}; run the same command again to resume" in said[0]
    assert not said[1]
    assert [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir()][-1:] == [stopped]
    assert f"resuming from step {stopped}" in fromnoise(*ADAMW, cwd=tmp_path).stderr
    assert_alike(tmp_path, adamw, **FLOAT32)


@pytest.mark.slow
def test_a_process_that_dies_takes_the_other_with_it_and_nothing_else(muon, fromnoise, tmp_path):
    with two(*MUON, cwd=tmp_path, program=DIES) as processes:
        processes[1].wait(SECONDS)
        start = time.monotonic()
        codes, said = ends(processes)
        assert time.monotonic() - start < 30
    assert codes == [2, -signal.SIGKILL], said
    assert "fromnoise: another process has stopped or cannot be reached" in said[0]
    assert "Traceback" not in said[0]
    with mock.patch("fromnoise.training.optimizers.precisions", return_value=("fp32",)):
        assert "resuming from step 8" in fromnoise(*MUON, cwd=tmp_path).stderr
    assert_alike(tmp_path, muon, **FLOAT32)


@pytest.mark.slow
def test_an_error_is_told_by_each_process_under_its_name(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    with two(*MUON, cwd=tmp_path) as processes:
        codes, said = ends(processes)
    assert codes == [2, 2]
    assert said[0].startswith("fromnoise: run exists and is not a run folder")
    assert said[1].startswith("fromnoise (process 1): run exists and is not a run folder")


def test_launchers_that_promise_more_processes_than_there_are_are_refused(fromnoise, tmp_path):
    # What `accelerate launch --num_processes 2 --cpu` sets before it starts one process.
    accelerate = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    said = fromnoise(*MUON, cwd=tmp_path, code=2, environment=accelerate).stderr
    assert "accelerate launch should have started several processes but started one" in said
    assert "torchrun --nproc_per_node" in said
    assert not (tmp_path / "run").exists()


def test_only_training_is_shared(fromnoise, tmp_path):
    words = ("sample", "digits", "--n", "1", "--device", "cpu", "--out", "one.png")
    assert "without a launcher" in fromnoise(*words, cwd=tmp_path, code=2, environment={"WORLD_SIZE": "2"}).stderr
    assert not (tmp_path / "one.png").exists()


@pytest.fixture
def torchrun(process):
    """The same under torchrun, with Muon in float32."""

    def run(*words, cwd):
        (cwd / "two.py").write_text(PROGRAM.format(step="pass"))
        return process(*words, cwd=cwd, program=(*TORCHRUN[:-2], "two.py"))

    return run


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--no-labels", "--augment", "0"), ("--channels", "16", "--compile", "on")])
def test_two_processes_train_every_network_as_one_trains_it_eagerly(torchrun, fromnoise, tmp_path, words):
    both, one = tmp_path / "two", tmp_path / "one"
    both.mkdir()
    one.mkdir()
    torchrun(*MUON, *words, cwd=both)
    with mock.patch("fromnoise.training.optimizers.precisions", return_value=("fp32",)):
        fromnoise(*MUON, *words, "--compile", "off", cwd=one)
    assert_alike(both, one, **FLOAT32)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped(muon, torchrun, tmp_path):
    shutil.copytree(muon / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "000024")
    assert "resuming from step 16" in torchrun(*MUON, cwd=tmp_path).stderr
    assert_alike(tmp_path, muon, **FLOAT32)


@pytest.mark.slow
def test_a_process_that_hangs_takes_the_other_with_it(tmp_path):
    hangs = """
    if k == 13 and self.accelerator.process_index:
        time.sleep(600)"""
    impatient = PROGRAM.replace("real =", "import datetime\nfrom fromnoise.training import device\n"
                                "device.PATIENCE = datetime.timedelta(seconds=5)\nreal =")  # fmt: skip
    with two(*MUON, cwd=tmp_path, program=("-c", impatient.format(step=hangs.strip()))) as processes:
        _, said = processes[0].communicate(timeout=SECONDS)
        assert processes[0].returncode == 2, said
    assert "fromnoise: another process has stopped or cannot be reached" in said


@pytest.mark.slow
def test_the_launch_of_the_guide_on_several_machines_launches_two_processes(tmp_path):
    launch = ON_MACHINES.replace("FIRST:29500", f"127.0.0.1:{free_port()}").replace("node 4", "node 1")
    torchruns = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *launch.split(), "-m", "fromnoise", *MUON, "--steps", "2"],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        codes, said = ends(torchruns)
    finally:
        for launched in torchruns:
            launched.terminate()
    assert set(codes) == {0}, said
    assert "".join(said).count("2 processes share each batch of 16 images, 8 each") == 1


@pytest.mark.slow
def test_accelerate_launch_on_a_cpu_is_refused(process, tmp_path):
    launch = ("-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu", "--module", "fromnoise")
    said = process(*MUON, cwd=tmp_path, code=1, program=launch).stderr
    assert "accelerate launch should have started several processes but started one" in said
