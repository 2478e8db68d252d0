"""From a path to a run, its model, images and data."""

from dataclasses import replace
from pathlib import Path

from fromnoise.config import Config
from fromnoise.data import sources
from fromnoise.data.parts import Parts
from fromnoise.data.picture import suffixes
from fromnoise.data.settings import NAMED
from fromnoise.errors import UserError
from fromnoise.files import missing_hint, quoted
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.generation.pretrained import FILES, packaged
from fromnoise.training.run_folder import RunFolder


class TrainingImagesLost(UserError):  # noqa: N818 - a state of the data
    """A run's training images cannot be found as they were."""


MARKS = "lock", "log.jsonl", "checkpoints", "samples"
"""One of these lies beside a run's config.json: other tools have a config.json too."""


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder."""
    return (path / "config.json").is_file() and any((path / mark).exists() for mark in MARKS)


def run_of(path: Path) -> Path | None:
    """The run that `path` is, or is a checkpoint of, or its model file; None for anything else."""
    for each in (path.absolute(), path.absolute().parent):
        if each.parent.name == "checkpoints" and is_run(each.parent.parent):
            return each.parent.parent
    return path if is_run(path) else None


def find_model(path: Path) -> Path:
    """The model file of a run folder (its newest), of a checkpoint, of a packaged model, or the file itself.

    A run folder or file goes before a packaged model of the same name. Raises UserError for anything else.
    """
    if path.is_file():
        if path.suffix.lower() in suffixes():
            raise UserError(f"{path} is an image, not a model: name the run, then the image")
        return path
    if (path / CHECKPOINT_FILE).is_file():
        return path / CHECKPOINT_FILE
    if is_run(path):
        return RunFolder(path).model_file()
    if found := packaged(str(path)):
        return found
    known = ", ".join(FILES)
    raise UserError(
        f"{path} is neither a run folder, a checkpoint, a model file, nor one of: {known}{missing_hint(path)}"
    )


def load_model(path: Path, device: str | None = None, threads: int | None = None) -> Model:
    """The model in the file that `find_model` finds, on a `device` for this process alone if one is given."""
    model = Model.load(find_model(path))
    if device is None:
        return model
    from fromnoise.training.device import alone  # imports Accelerate, which few commands need

    return model.to(alone(device, threads))


def find_images(path: Path) -> Path:
    """The generated images of a run folder; raises UserError when it has none yet."""
    images = RunFolder(path).samples / "images.npz"
    if not images.is_file():
        command = quoted(["fromnoise", "sample", str(path), "--n", "1000", "--out", str(images)])
        raise UserError(f"{path} has no generated images yet: run `{command}`")
    return images


def parts_of_model(model: Model, source: Path, *, skip_broken: bool = False) -> tuple[Parts, list[str]]:
    """The data of the `model` that the user named `source`, with notes; raises as `parts_of` does if it is a run's."""
    if run := run_of(source):
        return parts_of(run), []
    data, seed, within = model.config.data, model.config.seed, model.info.range
    return sources.prepare(data, seed, skip_broken=skip_broken, within=within), unchecked(model, source)


def config_of(model: Model, source: Path) -> Config:
    """The settings of the `model` that the user named `source`, its data in the place where its run last found it."""
    run = run_of(source)
    return model.config if run is None else replace(model.config, data=RunFolder(run).about().config.data)


def unchecked(model: Model, source: Path) -> list[str]:
    """A note on a model file outside its run, which does not know its training images."""
    data = model.config.data.data
    known = run_of(source) or data in NAMED
    return [] if known else [f"it cannot be checked whether {data} still holds the images that {source} was trained on"]


def parts_of(run: Path) -> Parts:
    """The data of a run: its training images, and real images that it was not trained on.

    Raises TrainingImagesLost when the training images are gone or have changed, UserError for a damaged run folder.
    """
    about = RunFolder(run).about()
    try:  # what cannot be read was left out by the training too, or the fingerprint differs
        parts = sources.prepare(about.config.data, about.config.seed, skip_broken=True)
    except UserError as error:
        raise TrainingImagesLost(f"the training images of {run} are missing: {error}") from error
    if parts.train.fingerprint != about.data.fingerprint:
        raise TrainingImagesLost(
            f"the training images of {run} have changed: {about.config.data.data} now holds other images"
        )
    return parts
