"""Trainings killed at awkward moments and started again by the same command."""

import json
import signal

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

WORDS = (
    "train", "--preset", "tiny", "--channels", "8", "16", "--steps", "8", "--checkpoint-every", "2", "--dropout", "0.1",
    "--augment", "0.5", "--out", "run",
)  # fmt: skip

# Each kills the process for good (SIGKILL) at one moment of the training below.
KILLS = {
    "between checkpoints": "after_step(5)",
    "before the first checkpoint": "after_step(1)",
    "as a checkpoint starts": "before(run_folder.RunFolder, 'save', 2)",
    "with the model written and the state not": "before(checkpoints.tensors, 'save', 4)",
    "with all files of a checkpoint written": "before(os, 'replace', 1, '000004')",
    "between a checkpoint and the removal of older ones": "before(run_folder.shutil, 'rmtree', 1, '000002')",
}
KILLER = """
import os, signal, sys
from fromnoise.faces import cli
from fromnoise.training import checkpoints, run_folder, step

def die(how=signal.SIGKILL):
    os.kill(os.getpid(), how)

def before(owner, name, count, end=""):
    real, calls = getattr(owner, name), []
    def call(*args, **kwargs):
        if str(args[0]).endswith(end):
            calls.append(name)
        if len(calls) == count:
            die()
        return real(*args, **kwargs)
    setattr(owner, name, call)

def after_step(count, *how):
    real = step.Step.__call__
    def call(self, k, rate):
        norm = real(self, k, rate)
        if k + 1 == count:
            die(*how)
        return norm
    step.Step.__call__ = call

{kill}
sys.exit(cli.main(sys.argv[1:]))
"""


def tensors(folder):
    last = max((folder / "run" / "checkpoints").iterdir())
    return last.name, load_file(last / "model.safetensors") | load_file(last / "state.safetensors")


def log(folder):
    records = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in ("seconds", "images_per_second")} for record in records]


def assert_same(one, other):
    (name, ours), (other_name, theirs) = tensors(one), tensors(other)
    assert name == other_name
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert log(one) == log(other)


@pytest.fixture(scope="module")
def undisturbed(fromnoise, tmp_path_factory):
    place = tmp_path_factory.mktemp("undisturbed")
    fromnoise(*WORDS, cwd=place)
    return place


@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_training_goes_on_to_the_same_bits(undisturbed, forked, fromnoise, tmp_path, moment):
    forked(*WORDS, cwd=tmp_path, code=-signal.SIGKILL, program=KILLER.format(kill=KILLS[moment]))
    fromnoise(*WORDS, cwd=tmp_path)
    assert_same(undisturbed, tmp_path)
    assert not list((tmp_path / "run").rglob(".*"))


def test_ctrl_c_saves_leaves_cleanly_and_goes_on_to_the_same_bits(undisturbed, forked, fromnoise, tmp_path):
    interrupt = KILLER.format(kill="after_step(5, signal.SIGINT)")
    said = forked(*WORDS, cwd=tmp_path, code=130, program=interrupt).stderr
    assert "run the same command again to resume" in said
    assert "Traceback" not in said
    assert "resuming from step 5" in fromnoise(*WORDS, cwd=tmp_path).stderr
    assert_same(undisturbed, tmp_path)


def test_a_resumed_training_may_log_and_save_at_other_steps(fromnoise, tmp_path):
    words = ("train", "--preset", "tiny", "--steps", "4", "--out", "run")
    fromnoise(*words, cwd=tmp_path)
    again = fromnoise(*words, "--log-every", "2", "--checkpoint-every", "2", cwd=tmp_path)
    assert "already trained (4 steps): nothing to do" in again.stderr


def test_a_run_goes_on_when_its_images_have_moved_and_not_with_others(fromnoise, blobs_of, tmp_path):
    words = ("train", "--preset", "tiny", "--steps", "4", "--out", "run", "--data")
    for seed, name in enumerate(("photos", "others")):
        (tmp_path / name).mkdir()
        for k, image in enumerate(blobs_of(40, seed=seed).images):
            Image.fromarray(image[0].numpy()).save(tmp_path / name / f"{k}.png")
    fromnoise(*words, "photos", cwd=tmp_path)
    refused = fromnoise(*words, "others", cwd=tmp_path, code=2)
    assert "different settings (yours, the run's: data: others, photos)" in refused.stderr
    (tmp_path / "photos").rename(tmp_path / "moved")
    refused = fromnoise(*words, "others", cwd=tmp_path, code=2)
    assert "run was trained on photos, and others holds other images: choose another --out" in refused.stderr
    again = fromnoise(*words, "moved", cwd=tmp_path)
    assert "already trained (4 steps): nothing to do" in again.stderr
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["data"]["data"] == "moved"
