"""What the documents say to type can be typed, what they link to is there, and the README stays short."""

import importlib
import inspect
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fromnoise
from fromnoise.faces.arguments import TrainingArguments, parse, parse_training
from fromnoise.faces.cli import COMMANDS, USAGE

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
DOCUMENTS = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")), *ROOT.glob("docs/**/*.md")]
WHOLE_LINES = re.compile(r"^(?: *- run: |.*torchrun [^|\n]+ -m )?fromnoise (?P<words>[^#|\n]+)", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`fromnoise (?P<words>[^`]+)`")


def texts():
    """The documents and the help of every command, as (name, text)."""
    for path in [*DOCUMENTS, ROOT / "lab" / "README.md", WORKFLOW]:
        yield path.name, path.read_text()
    yield "--help", re.sub(r"^  |`.*", "", USAGE, flags=re.MULTILINE)
    for name in [*(name for name in COMMANDS if name != "data"), "data export", "data inspect"]:
        yield f"{name} --help", inspect.getdoc(arguments_of(*name.split()))


def commands():
    """Every `fromnoise ...` of the texts that is written out, as words."""
    for name, text in texts():
        for pattern in (WHOLE_LINES, INLINE):
            for found in pattern.finditer(text):
                words = shlex.split(found["words"])
                if "..." not in words and (any(word.startswith("--") for word in words) or pattern is WHOLE_LINES):
                    yield pytest.param(words, id=f"{name}: {' '.join(words)}")


def arguments_of(command, word=""):
    """The class of a command's arguments; of `data`, which has two commands, by its first word."""
    module = importlib.import_module(f"fromnoise.faces.commands.{command}")
    own = [item for item in vars(module).values() if getattr(item, "__module__", None) == module.__name__]
    first = word.capitalize() if command == "data" and word.isalpha() else ""
    return next(item for item in own if re.fullmatch(f"{first}.*Arguments", getattr(item, "__name__", "")))


@pytest.mark.parametrize("words", list(commands()))
def test_commands_are_real(words):
    command, *rest = [word.removeprefix("+") for word in words]  # --minutes +20 needs a run to extend
    cls = arguments_of(command, *rest[:1])
    if issubclass(cls, TrainingArguments):
        parse_training(cls, rest, command)
    elif rest != ["--help"]:
        parse(cls, rest[command == "data" :], command)


def test_readme_workflow_and_help_have_commands():
    found = [param.id for param in commands()]
    assert sum(name.startswith("README.md") for name in found) >= 8
    assert sum(name.startswith("ci.yml") for name in found) >= 4
    assert sum(" --help: " in name for name in found) >= 40


@pytest.mark.slow
def test_python_of_readme_and_guides_runs(tmp_path, monkeypatch):
    """As it stands, beside folders of small images; only that three steps are trained instead of minutes."""
    train = fromnoise.train

    def briefly(data, out, minutes=None):
        return train(data, out=out, preset="tiny", m=500, size=32, steps=3, device="cpu", quiet=True)

    monkeypatch.setattr(fromnoise, "train", briefly)
    monkeypatch.chdir(tmp_path)
    for folder, kind, most in (("photos", np.uint8, 255), ("scans", np.uint16, 4000)):
        Path(folder).mkdir()
        for k, pixels in enumerate(np.random.default_rng(0).integers(0, most, (600, 32, 32), dtype=kind)):
            Image.fromarray(pixels).save(f"{folder}/{k}.png")
    np.save("patches.npy", np.random.default_rng(1).normal(size=(20, 32, 32, 5)))
    briefly("scans/", "runs/scans")
    names = {}
    for path in (README, *sorted(ROOT.glob("docs/guides/*.md"))):
        for code in PYTHON.findall(path.read_text()):
            exec(compile(code, path.name, "exec"), {}, names.setdefault(path.stem, {}))
    assert names["README"]["images"].labels is None
    assert names["README"]["card"].copies.verdict
    assert names["README"]["card"].excess.value > 0
    assert len(names["edit"]["images"]) == 4
    assert 255 < names["own-images"]["values"].max() <= 4000
    assert np.load("patches.npz")["images"].shape == (20, 32, 32, 5)


@pytest.mark.parametrize("path", [*DOCUMENTS, WORKFLOW], ids=lambda path: path.name)
def test_make_targets_are_real(path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^|run: )make ([a-z-]+)", path.read_text(), re.MULTILINE)) <= targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target


def test_the_readme_is_short_and_has_one_picture():
    text = README.read_text()
    assert len(text.split()) <= 900
    assert text.count("![") == 1


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_is_left_to_be_filled_in(path):
    assert not re.search(r"@[A-Z]+@|TODO", path.read_text())
