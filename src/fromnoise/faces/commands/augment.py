"""`fromnoise augment`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.diffusion.settings import Guidance
from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, SkipBroken, Threads
from fromnoise.files import check_new_folder
from fromnoise.limits import Limits


@dataclass(frozen=True)
class AugmentArguments:
    """Sample images of every class to train a classifier on, and measure what it gains from them.

    fromnoise augment photos/ --model runs/photos --out more/
    fromnoise augment photos/ --model runs/photos --out more/ --per-class 200

    Some small classifiers learn from the training images alone, others from these and the generated ones. All are
    tested on held-out images. The difference in accuracy, with its interval, is printed and written to augment.json in
    DIR.
    """

    data: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="DATA")]
    """Images with classes: digits, mnist, fashion_mnist, a folder with sub-folders, or an .npz file with labels."""
    model: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """A model of such images: a run folder, a checkpoint in it, a model.safetensors file, or digits (packaged)."""
    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A new folder, with a sub-folder for each class."""
    per_class: Annotated[int, Limits(1)] | None = None
    """Images of each class; default: as many in total as there are training images, at most 3,000."""
    guidance: Guidance | None = None
    """Strength of guidance (lower gives more variety); default: the model's."""
    seed: int = 0
    """Seed of the images and of the classifiers."""
    label_by: str | None = None
    """Where classes come from, as in `train`; only if the model was not trained on DATA."""
    group_by: str | None = None
    """How DATA is split into parts, as in `train`; only if the model was not trained on it."""
    skip_broken: SkipBroken = False
    device: Device = "auto"
    threads: Threads = None


def main(arguments: AugmentArguments) -> None:
    """Augment."""
    if arguments.out.suffix.lower() in (".npz", ".png"):
        raise UserError(f"{arguments.out}: name a folder, which gets a sub-folder for each class")
    check_new_folder(arguments.out)

    from fromnoise.data import folder
    from fromnoise.experiment.augmentation import augment
    from fromnoise.experiment.find import load_model
    from fromnoise.faces.console import results

    model = load_model(arguments.model, arguments.device, arguments.threads)
    folder.check_channels(arguments.out, model.info.channels)
    names = ("per_class", "guidance", "seed", "skip_broken", "label_by", "group_by")
    asked = {name: getattr(arguments, name) for name in names}
    found = augment(model, arguments.model, arguments.data, arguments.out, **asked)
    results.sentence(found.verdict)
    print(arguments.out)
