"""Files whose configuration was edited, checksum and all: refused in one line, before much time or memory is taken."""

import json
import shutil
from math import inf, nan

import pytest

from fromnoise import tensors

SECONDS, KILOBYTES = 10, 1e6

# What is set to what, in the words of the file; and what is said of it.
MODELS = [
    ("config.diffusion.T", 10**9, "T must be from 2 to 50000"),
    ("config.diffusion.T", 1e3, r"Expected `int`, got `float` - at `config.diffusion.T`"),
    ("config.diffusion.schedule", "quadratic", "Invalid enum value 'quadratic'"),
    ("config.diffusion.lognormal", [-1.0, -1.0], "the standard deviation must be above 0"),
    ("config.diffusion.lognormal", [nan, 2.4], "lognormal must be from -30 to 30, not nan"),
    ("config.diffusion.unit_scale", True, "unknown setting config.diffusion.unit_scale"),
    ("config.data.size", "1000000", "too large"),
    ("config.data.size", "9" * 10_000, "is not a size"),
    ("config.sampling.sampling_steps", 10**8, "sampling_steps must be from 1 to 50000"),
    ("config.sampling.sampling_steps", True, "Expected `int`, got `bool`"),
    ("config.sampling.guidance", -1, "guidance must be from 0 to 100"),
    ("config.sampling.guidance_interval", [-4.0, inf], "guidance_interval must be finite, not inf"),
    ("config.sampling.guidance_interval", [2.0, -4.0], "give the lower λ first"),
    ("config.sampling.logsnr_range", [-9.0], "Expected `array` of length 2, got 1"),
    ("config.sampling.logsnr_range", [-99.0, 6.0], "from −30 to 30"),
    ("config.network.blocks", 10**7, "blocks must be from 1 to 64"),
    ("config.network.blocks", 64, "in the file it is missing"),
    ("config.network.stem", 4, "needs first.weight to be 16×16×3×3 numbers, and in the file it is 16×4×3×3"),
    ("config.network.channels", [16, 10**9], "channels must be from 1 to 4096"),
    ("config.network.channels", [4096, 4096], "needs first.weight to be 4096×4×3×3"),
    ("config.network.channels", [], "each must be a multiple of 8"),
    ("config.network.channels", [16] * 15, "multiples of"),
    ("config.network.channels", [16] * 40, "name at most 16"),
    ("config.network.groups", 8, "unknown setting config.network.groups"),
    ("config.training.augment", 0.5, "needs embedding.change.weight"),
    ("config.training", None, "Expected `object`, got `null` - at `config.training`"),
    ("config", [], "Expected `object`, got `array` - at `config`"),
    ("info.height", 10**6, "its images are 1000000×16"),
    ("info.channels", 2, "2 channels"),
    ("info.channels", 3, "3 channels and 1 means"),
    ("info.scale", nan, "scale must be from 1e-09 to 1, not nan"),
    ("info.mean", [], "0 means"),
    ("info.class_shares", [0.5] * 10, "do not add up to 1"),
    ("info.class_shares", [1 / 20] * 20, "needs embedding.label.weight to be 256×21 numbers"),
    ("info.class_shares", [], "needs embedding.label.weight to be missing"),
    ("sampling.precision", "fp64", "Invalid enum value 'fp64'"),
    ("sampling.guidance", nan, "guidance must be from 0 to 100, not nan"),
    ("format", 99, "is not a model of this version"),
]
RUNS = [
    ("config.network.blocks", 10**7, "config.json: blocks must be"),
    ("config.training.lr", "high", "config.json: Expected `float`, got `str` - at `config.training.lr`"),
    ("data.fingerprint", 3, "config.json: Expected `str`, got `int` - at `data.fingerprint`"),
    ("data", None, "config.json: Expected `object`, got `null` - at `data`"),
    ("budgets", 1, "config.json: Expected `array`, got `int` - at `budgets`"),
    ("left", 1, "config.json: unknown setting left"),
]
COMMANDS = [
    ("train", "--preset", "tiny", "--steps", "+5", "--out", "run0"),
    ("sample", "run0", "--out", "a.png", "--reject-copies"),
]
CASES = [
    *((("sample", f"{k}.safetensors", "--n", "1", "--out", "a.png"), said) for k, (*_, said) in enumerate(MODELS)),
    *((("train", "--preset", "tiny", "--out", f"run{k}"), said) for k, (*_, said) in enumerate(RUNS)),
    *((words, RUNS[0][2]) for words in COMMANDS),
]


def edited(about, place, value):
    """A copy of `about` in which what stands at `place` is `value`."""
    about = json.loads(json.dumps(about))
    *rooms, name = place.split(".")
    inner = about
    for room in rooms:
        inner = inner[room]
    inner[name] = value
    return about


@pytest.fixture(scope="module")
def place(fromnoise, tmp_path_factory):
    """A folder with a file of each kind edited in each way."""
    place = tmp_path_factory.mktemp("edited")
    fromnoise("train", "--preset", "tiny", "--steps", "1", "--out", "run", cwd=place)
    model, config = place / "run" / "checkpoints" / "000001" / "model.safetensors", place / "run" / "config.json"
    weights, about = tensors.load(model)
    for k, (name, value, _) in enumerate(MODELS):
        tensors.save(place / f"{k}.safetensors", weights, edited(about, name, value))
    about = json.loads(config.read_text())
    for k, (name, value, _) in enumerate(RUNS):
        shutil.copytree(place / "run", place / f"run{k}")
        (place / f"run{k}" / "config.json").write_text(json.dumps(edited(about, name, value)))
    return place


@pytest.mark.parametrize(
    ("words", "expected"),
    CASES,
    ids=[*(f"{name}={value!s:.9}" for name, value, _ in MODELS + RUNS), *(words[0] for words in COMMANDS)],
)
def test_an_edited_file_is_refused_in_one_line_before_work_starts(words, expected, place, forked):
    before = sorted(place.rglob("*"))
    done = forked(*words, cwd=place, code=2)
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert expected in done.stderr
    assert done.seconds < SECONDS
    assert done.kilobytes < KILOBYTES
    assert sorted(place.rglob("*")) == before
