"""The lab's digit model: trained once, as `fromnoise train` does it, and found by every later notebook."""

from pathlib import Path

from fromnoise.config import PRESETS, Config, with_budget
from fromnoise.data.settings import DataSettings
from fromnoise.diffusion.settings import DiffusionSettings
from fromnoise.errors import UserError
from fromnoise.experiment import train
from fromnoise.experiment.train import Experiment
from fromnoise.faces.console import TERMINAL, say
from fromnoise.generation.model import Model
from fromnoise.networks.settings import NetworkSettings
from fromnoise.say import reporting_to
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import TrainingSettings

IMAGE = (1, 32, 32)  # channels, height, width: what the notebooks show

# Strokes that begin to be digits, in under a minute on two slow cores. In so few steps a small network, a high learning
# rate and noisy levels, where the form is decided, do better than the settings of a long training.
QUICK = Config(
    data=DataSettings("digits", size="32"),
    diffusion=DiffusionSettings(lognormal=(-0.5, 2.2)),
    network=NetworkSettings(channels=(32, 48, 48)),
    training=TrainingSettings(
        steps=160, batch=32, lr=6e-3, warmup=20, decay=0.8, ema=0.97, precision="fp32", compile="off"
    ),
)
FULL = with_budget(PRESETS["fast"], "fast")  # ten minutes


def trained(run: Path, quick: bool) -> tuple[Model, RunFolder]:
    """The model of the run folder `run` and the folder; trained there first unless it holds a finished run.

    A finished run is used whatever its settings, so that the notebooks can show a model trained elsewhere. An
    unfinished one is resumed if it is the lab's own. Raises UserError for a folder that cannot be trained in, or a
    model of other images than the lab's.
    """
    folder = RunFolder(run)
    if folder.is_finished():
        model = Model.load(folder.model_file())
    else:
        say(f"training the lab's digit model ({'quick' if quick else 'full'}) into {run}")
        with reporting_to(TERMINAL), train.trained(Experiment(QUICK if quick else FULL, run)) as outcome:
            model = outcome.model
    if model.info.image != IMAGE:
        raise UserError(f"{run} holds a model of {model.info.image} images: name a run trained on grey 32×32 digits")
    return model, folder
