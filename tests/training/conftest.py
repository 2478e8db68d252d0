import contextlib
import signal

import pytest
import torch
from safetensors.torch import load_file

from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.say import Bar, Reporter, reporting_to, silent
from fromnoise.training.device import accelerator
from fromnoise.training.pacer import Clock
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Recording
from fromnoise.training.step import Step
from fromnoise.training.trainer import Trainer


@pytest.fixture
def images(blobs_of):
    return blobs_of(size=8)


@pytest.fixture
def config_of(config_of):
    """The tiny preset with smaller images and the smallest network that has hidden kernels, which Muon trains."""

    def make(data=None, network=None, **rooms):
        return config_of(data={"size": "8"} | (data or {}), network={"channels": (16,)} | (network or {}), **rooms)

    return make


@pytest.fixture
def train(tmp_path, images):
    def run(config, name="run", stop=None, log_every=None, checkpoint_every=None, say=silent, show=None, **given):
        """Train in a folder of that name, with Ctrl-C after the step `stop`; returns the folder and the outcome."""

        class Shown(Bar):
            def show(self, done, total, note="", remaining=None):
                if show:
                    show(done, remaining)
                if done == stop:
                    signal.raise_signal(signal.SIGINT)

        given["recording"] = Recording(log_every, checkpoint_every)
        folder = RunFolder(tmp_path / name)
        model = Model.build(config, DataInfo.of(images, config))
        reporter = Reporter(say, lambda title: Shown())
        with folder.open(config, images, given.get("initial")), reporting_to(reporter):
            return folder, Trainer(model, images, folder, accelerator("cpu"), **given).run()

    run.path = tmp_path
    return run


def last_tensors(folder):
    last = folder.checkpoint(folder.steps()[-1])
    return load_file(last / "model.safetensors") | load_file(last / "state.safetensors")


@pytest.fixture
def tensors():
    """All tensors of a folder's newest checkpoint."""
    return last_tensors


@pytest.fixture
def assert_same():
    """That two trainings ended with the same tensors, to the bit."""

    def check(one, other):
        ours, theirs = last_tensors(one), last_tensors(other)
        assert ours.keys() == theirs.keys()
        assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []

    return check


@pytest.fixture
def paced(monkeypatch):
    """Steps that take, by the trainer's clock, as long as they are told to: paced(seconds of step k).

    Unless they are to learn, they are not taken at all.
    """
    clocks = []

    class Still(Clock):
        seconds = 0.0

        def __init__(self):
            clocks.append(self)

        @property
        def running(self):
            return self.seconds

        def stopped(self):
            return contextlib.nullcontext()

        def add(self, seconds):
            self.seconds += seconds

        def skip(self, seconds):
            self.seconds -= seconds

    real = Step.__call__

    def keep(seconds_of, learn=False):
        def call(self, k, rate):
            clocks[-1].seconds += seconds_of(k)
            if learn:
                return real(self, k, rate)
            self.losses += 1
            return None

        monkeypatch.setattr("fromnoise.training.trainer.Clock", Still)
        monkeypatch.setattr(Step, "__call__", call)

    return keep
