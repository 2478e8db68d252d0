"""Files that are not as they were written: nothing is made with them, and a training goes back to a whole one."""

import json
import random
import shutil

import pytest
import torch

from fromnoise import tensors

pytestmark = pytest.mark.usefixtures("few_digits")  # as `finished` was scored
WORDS = ("train", "--preset", "tiny", "--steps", "12", "--checkpoint-every", "6", "--out", "run")


def flip_bits(file, count=40):
    """Flip bits of a file's tensors, as a bad disk or copy does."""
    content, chance = bytearray(file.read_bytes()), random.Random(0)
    header = 8 + int.from_bytes(content[:8], "little")
    for bit in chance.sample(range(8 * header, 8 * len(content)), count):
        content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def one_line(done):
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def trained(fromnoise, tmp_path_factory):
    place = tmp_path_factory.mktemp("trained")
    fromnoise(*WORDS, cwd=place)
    return place


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "run", "--out", "a.png"),
        ("sample", "run/checkpoints/000012/model.safetensors", "--out", "a.npz"),
        ("likelihood", "run", "digits:heldout"),
        ("export", "run", "a.onnx"),
        ("train", "--preset", "tiny", "--init", "run", "--out", "new"),
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_made_with_damaged_weights(words, copy, fromnoise):
    if words[0] == "export":
        pytest.importorskip("onnxscript")
    flip_bits(copy / "run" / "checkpoints" / "000012" / "model.safetensors")
    said = one_line(fromnoise(*words, cwd=copy, code=2))
    assert "000012/model.safetensors is damaged (its content does not match its checksum): use another copy" in said
    assert [item.name for item in copy.iterdir()] == ["run"]


@pytest.mark.parametrize("file", ["model.safetensors", "state.safetensors"])
def test_a_training_goes_back_to_the_checkpoint_before_a_damaged_one(file, copy, trained, fromnoise):
    flip_bits(copy / "run" / "checkpoints" / "000012" / file)
    said = fromnoise(*WORDS, cwd=copy).stderr
    assert f"000012/{file} is damaged" in said
    assert "resuming from step 6" in said
    for name in ("model.safetensors", "state.safetensors"):
        ours, theirs = (tensors.load(place / "run" / "checkpoints" / "000012" / name)[0] for place in (copy, trained))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert len(list((copy / "run" / "checkpoints").glob("000012.damaged-*"))) == 1


@pytest.mark.slow
def test_a_finished_run_with_damaged_weights_is_trained_and_scored_again(finished, tmp_path, fromnoise):
    run = shutil.copytree(finished / "run", tmp_path / "run")
    flip_bits(run / "checkpoints" / "000030" / "model.safetensors")
    fromnoise("run", "--preset", "tiny", "--out", "run", cwd=tmp_path)
    now, before = (json.loads((run / f"report{suffix}.json").read_text()) for suffix in ("", "-000030"))
    assert now["metrics"] == before["metrics"]
    assert now["protocol"]["generated"]["sha256"] == before["protocol"]["generated"]["sha256"]
