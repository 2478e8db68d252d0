"""Checkpoints whose checksum is right and whose content is nonsense: refused by name, before anything is trained."""

import json
import math
import re
import shutil

import pytest

from fromnoise import tensors
from fromnoise.errors import UserError
from fromnoise.training.run_folder import RunFolder

ABOUT = [
    ("seconds", "long"),
    ("seconds", math.nan),
    ("plan", None),
    ("plan.precision", 16),
    ("plan.channels_last", "no"),
    ("pace", []),
    ("pace.budgets", []),
    ("pace.budgets", [None]),
    ("pace.steps", 10**9),
    ("pace.segment.threads", 10**9),
    ("pace.segment.step_seconds", 0.0),
    ("sums", 5),
    ("sums", [[0.0]]),
    ("sums", [["a"]]),
    ("more", 1),
]
TENSORS = {
    "lost": lambda tensors, name: tensors.pop(name),
    "flat": lambda tensors, name: tensors.update({name: tensors[name].flatten()[:1]}),
    "deeper": lambda tensors, name: tensors.update({name: tensors[name][None]}),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Where the first test leaves its training for the others."""
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture
def edited(train, config_of, trained):
    """A function that edits a file of a training's newest checkpoint, checksum and all, and expects a refusal."""

    def refused(file, edit):
        config, folder = config_of(training={"steps": 2}), RunFolder(train.path / "run")
        if trained.exists():
            shutil.copytree(trained, folder.path)
        else:
            train(config)
            shutil.copytree(folder.path, trained)
        path = folder.checkpoint(folder.steps()[-1]) / f"{file}.safetensors"
        content, about = tensors.load(path)
        about = json.loads(json.dumps(about))
        edit(content, about)
        tensors.save(path, content, about)
        with pytest.raises(UserError, match=re.escape(str(path.parent))) as error:
            train(config)
        return str(error.value)

    return refused


@pytest.mark.parametrize(("place", "value"), ABOUT, ids=str)
def test_what_is_said_of_the_state(edited, place, value):
    def edit(_, about):
        *rooms, name = place.split(".")
        for room in rooms:
            about = about[room]
        about[name] = value

    assert "\n" not in edited("state", edit)


@pytest.mark.parametrize("how", TENSORS)
@pytest.mark.parametrize("kind", ["weights.", "optimizer.0.", "optimizer.1.", ""])
def test_tensors_that_are_not_this_trainings(edited, kind, how):
    def edit(content, _):
        TENSORS[how](content, next(name for name in sorted(content) if name.startswith(kind) and content[name].ndim))

    edited("state" if kind else "model", edit)
