import contextlib

import pytest

from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.training.clock import Clock
from fromnoise.training.device import accelerator
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.step import Step
from fromnoise.training.trainer import Trainer


@pytest.fixture
def train(tmp_path, images):
    def run(config, name="run", **handlers):
        """Train in a folder of that name; returns the folder and the outcome."""
        folder = RunFolder(tmp_path / name)
        model = Model.build(config, DataInfo.of(images, config))
        with folder.open(config, images):
            return folder, Trainer(model, images, folder, accelerator("cpu"), **handlers).run()

    run.path = tmp_path
    return run


@pytest.fixture
def paced(monkeypatch):
    """Steps that take, by the trainer's clock, as long as they are told to: paced(seconds of step k)."""
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

    def keep(seconds_of):
        real = Step.__call__

        def call(self, k, rate):
            clocks[-1].seconds += seconds_of(k)
            return real(self, k, rate)

        monkeypatch.setattr("fromnoise.training.trainer.Clock", Still)
        monkeypatch.setattr(Step, "__call__", call)

    return keep
