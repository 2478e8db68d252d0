"""The lab's digit model: trained once, by the Trainer that `fromnoise train` has, and found by every later notebook."""

from pathlib import Path

from fromnoise.config import PRESETS, Config, with_budget
from fromnoise.data.settings import DataSettings
from fromnoise.diffusion.settings import DiffusionSettings
from fromnoise.errors import UserError
from fromnoise.experiment import train
from fromnoise.experiment.train import Experiment
from fromnoise.faces.console import Terminal, say
from fromnoise.generation.model import Model
from fromnoise.networks.settings import NetworkSettings
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import TrainingSettings

IMAGE = (1, 32, 32)  # channels, height, width: what the notebooks show

# Strokes that begin to be digits, in under a minute on two slow cores. So few images are seen that small, large steps
# and noisy levels, where the form is decided, win over what a long training needs.
QUICK = Config(
    data=DataSettings("digits", size="32"),
    diffusion=DiffusionSettings(logsnr_mean=-0.5, logsnr_std=2.2),
    network=NetworkSettings(channels=(32, 48, 48)),
    training=TrainingSettings(
        steps=160,
        batch=32,
        lr=6e-3,
        warmup=20,
        decay=0.8,
        ema=0.97,
        precision="fp32",
        compile="off",
        log_every=10,
    ),
)
FULL = with_budget(PRESETS["fast"], "fast")  # ten minutes


def trained(run: Path, quick: bool) -> tuple[Model, RunFolder]:
    """The model of the run folder `run` and the folder; trained there first if there is no finished run in it.

    A finished run is used whatever its settings were, so that the notebooks can show a model that was trained
    elsewhere. An unfinished one goes on if it is the lab's own. Progress is told on stderr. Raises UserError for a
    folder that cannot be trained in, or a model of other images than the lab's.
    """
    folder = RunFolder(run)
    if folder.is_finished():
        model = Model.load(folder.model_file())
    else:
        config = QUICK if quick else FULL
        say(f"training the lab's digit model ({'quick' if quick else 'full'}) into {run}")
        experiment = Experiment(config, run, reporter=Terminal())
        device = train.ready(experiment)
        with train.trained(experiment, device, train.prepared(experiment, device)) as training:
            model = training.outcome.model
    if model.shape.image != IMAGE:
        raise UserError(f"{run} holds a model of other images than grey ones of 32×32 pixels: the lab cannot show it")
    return model, folder
