"""--evaluate-every from the command line: what is written, what is kept, and trainings that were killed."""

import json
import re
import signal

import numpy as np
import pytest
from safetensors.torch import load_file

from fromnoise.experiment import few_images, validate

WORDS = ("--preset", "tiny", "--steps", "16", "--checkpoint-every", "6", "--evaluate-every", "10", "--out", "run")
# Each kills the process for good (SIGKILL) at one moment around the look after step 10: owner, function, when.
KILLS = {
    "with the best model written and best.json not": ("run_folder", "write_json", "args[0].name == 'best.json'"),
    "with the best kept and no line written": ("step_log.StepLog", "append", "args[0].file.stem == 'evaluations'"),
    "between the line and the next checkpoint": ("run_folder.RunFolder", "save", "args[2].standing.step == 12"),
}
KILLER = """
import os, signal, sys
from fromnoise.experiment import few_images, validate
from fromnoise.faces import cli
from fromnoise.training import run_folder, step_log

validate.IMAGES, validate.MOST_REAL = 64, 300
few_images.FEW = 0
real = {owner}.{name}
def call(*args):
    if {when}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args)
{owner}.{name} = call
sys.exit(cli.main(sys.argv[1:]))
"""


def looks(place):
    lines = [json.loads(line) for line in (place / "run" / "evaluations.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds_of_training", "cost_seconds")} for line in lines]


@pytest.fixture(scope="module", autouse=True)
def little_work():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validate, "IMAGES", 64)
        patch.setattr(validate, "MOST_REAL", 300)
        patch.setattr(few_images, "FEW", 0)  # 200 digits are to be judged as more are
        yield


@pytest.fixture(scope="module")
def watched(fromnoise, fewer_digits, tmp_path_factory):
    """A folder with a validated run, what its training said, and what its score printed."""
    place = tmp_path_factory.mktemp("watched")
    trained = fromnoise("train", *WORDS, cwd=place)
    with fewer_digits():
        scored = fromnoise("run", *WORDS, cwd=place)
    return place, trained.stderr, scored.stdout


def test_looks_are_written_said_and_reported_and_the_best_is_kept(watched):
    place, said, printed = watched
    lines = looks(place)
    assert [line["step"] for line in lines] == [10, 16]
    assert all(re.search(rf"step {line['step']}: KID .* no sign of copying", said) for line in lines)
    run = json.loads((place / "run" / "report.json").read_text())["run"]
    assert [line["kid"] for line in run["evaluations"]] == [line["kid"] for line in lines]
    best = min(lines, key=lambda line: line["kid"]["value"])
    assert run["best"] == {"step": best["step"], "kid": best["kid"]}
    kept = place / "run" / "checkpoints" / "best"
    assert json.loads((kept / "best.json").read_text()) == run["best"]
    assert ("the best by validation" in printed) == (best["step"] != 16)
    assert run["training"]["steps"] == 16  # the last is scored, whichever is the best
    assert sorted(path.name for path in kept.parent.iterdir()) == ["000012", "000016", "best"]


def test_the_best_can_be_drawn_from_like_any_checkpoint(watched, fromnoise, tmp_path):
    best = watched[0] / "run" / "checkpoints" / "best"
    fromnoise("sample", best, "--n", "2", "--out", "two.npz", cwd=tmp_path)
    with np.load(tmp_path / "two.npz") as arrays:
        assert arrays["arr_0"].shape == (2, 16, 16, 1)


def test_the_same_command_again_does_nothing(watched, fromnoise, snapshot):
    place, _, printed = watched
    before = snapshot(place)
    again = fromnoise("run", *WORDS, cwd=place)
    assert "nothing to do" in again.stderr
    assert ("the best by validation" in again.stdout) == ("the best by validation" in printed)
    assert snapshot(place) == before


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("with the best model written and best.json not", marks=pytest.mark.slow),
        pytest.param("with the best kept and no line written", marks=pytest.mark.slow),
        "between the line and the next checkpoint",
    ],
)
def test_a_training_killed_around_a_look_goes_on_to_the_same_looks_and_best(
    watched, fromnoise, forked, tmp_path, moment
):
    owner, name, when = KILLS[moment]
    program = KILLER.format(owner=owner, name=name, when=when)
    forked("train", *WORDS, cwd=tmp_path, code=-signal.SIGKILL, program=program)
    fromnoise("train", *WORDS, cwd=tmp_path)
    assert looks(tmp_path) == looks(watched[0])
    ours, theirs = (place / "run" / "checkpoints" / "best" for place in (tmp_path, watched[0]))
    assert (ours / "best.json").read_text() == (theirs / "best.json").read_text()
    one, other = (load_file(best / "model.safetensors") for best in (ours, theirs))
    assert all(np.array_equal(one[name], other[name]) for name in other)


def test_what_cannot_be_watched_is_refused_before_training(tmp_path, fromnoise):
    np.savez(tmp_path / "few.npz", np.random.default_rng(0).integers(0, 255, (80, 16, 16), dtype=np.uint8))
    words = ("--preset", "tiny", "--m", "None", "--data", "few.npz", "--out", "run")
    refused = fromnoise("train", *words, "--evaluate-every", "5", cwd=tmp_path, code=2)
    assert "--evaluate-every needs 50 validation images, but few.npz has 8" in refused.stderr
    refused = fromnoise("train", "--evaluate-every", "0", "--out", "run", cwd=tmp_path, code=2)
    assert "--evaluate-every must be at least 1" in refused.stderr
    assert not (tmp_path / "run").exists()
