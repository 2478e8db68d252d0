"""Finding what a path to a run means."""

from pathlib import Path

from fromnoise.errors import UserError
from fromnoise.generation.model import CHECKPOINT_FILE
from fromnoise.training.run_folder import RunFolder


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder."""
    return (path / "config.json").is_file()


def find_model(path: Path) -> Path:
    """The model file of a run folder (its newest), of a checkpoint, or the file itself; UserError for others."""
    if path.is_file():
        return path
    if (path / CHECKPOINT_FILE).is_file():
        return path / CHECKPOINT_FILE
    if is_run(path):
        return RunFolder(path).model_file()
    raise UserError(f"{path} is neither a run folder nor a checkpoint nor a model file")


def find_images(path: Path) -> Path:
    """The generated images of a run folder; raises UserError when it has none yet."""
    images = RunFolder(path).samples / "images.npz"
    if not images.is_file():
        raise UserError(f"{path} has no generated images yet: fromnoise sample {path} --n 1000 --out {images}")
    return images
