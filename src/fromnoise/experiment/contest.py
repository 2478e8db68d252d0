"""What is compared with what, from what a user names: any images, against real ones, beside training images."""

from dataclasses import replace
from pathlib import Path

from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import Say, silent
from fromnoise.data.resize import resized
from fromnoise.evaluation.score import Contest
from fromnoise.experiment.find import find_images, is_run, trained_on

Named = str | ImageSet
"""A data set's name, a folder, an .npz file (and, for generated images, a run folder); or the images themselves."""


def contest(
    generated: Named,
    reference: Named,
    train: Named | None = None,
    floor: Named | None = None,
    *,
    n: int | None = None,
    seed: int = 0,
    skip_broken: bool = False,
    say: Say = silent,
) -> Contest:
    """The sets of a score, all of the generated images' size; raises UserError for what cannot be found.

    A run knows its training images, and a named reference the real images that its floor is taken from, where `train`
    and `floor` do not say. `n`: a random subset of so many of the generated images. `skip_broken` and `say` are those
    of `sources.load`.
    """
    notes: list[str] = []

    def load(named: Named, size: tuple[int, int] | None = None) -> ImageSet:
        if isinstance(named, ImageSet):
            return resized(named, size) if size else named
        return sources.load(named, size, skip_broken=skip_broken, say=say)

    trained: ImageSet | None = None
    if isinstance(generated, str) and is_run(Path(generated)):
        images = load(str(find_images(Path(generated))))
        if train is None:
            trained = trained_on(Path(generated), say)
            if trained is None:
                notes.append("no copycat: the run's training images are missing or have changed")
    else:
        images = load(generated)
    real = load(reference, images.shape[1:])
    if images.class_names and real.class_names and images.class_names != real.class_names:
        images = replace(images, labels=None, class_names=())
        notes.append("labels were ignored: the generated images' classes have other names than the reference's")
    if n is not None:
        images = images.subset(n, seed, balanced=False)
    if train is not None:
        trained = load(train, images.shape[1:])
    if floor is None and isinstance(reference, str):
        floor = sources.floor_for(reference)
    beside = None if floor is None else sources.less(sources.unseen(load(floor, images.shape[1:]), trained), real)
    return Contest(images, real, beside, trained, notes)
