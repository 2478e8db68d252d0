import pytest

from fromnoise.generation.model import Model, Shape
from fromnoise.training.device import accelerator
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Trainer


@pytest.fixture
def train(tmp_path, images):
    def run(config, name="run", **handlers):
        """Train in a folder of that name; returns the folder and the outcome."""
        folder = RunFolder(tmp_path / name)
        model = Model.build(config, Shape.of(images, config))
        with folder.open(config, images):
            return folder, Trainer(model, images, folder, accelerator("cpu"), **handlers).run()

    run.path = tmp_path
    return run
