"""The battery's cases: manipulations that somebody might try to get past the score, and what it is to say of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as V

from benchmarks.damages import DAMAGES
from benchmarks.shapes import shapes
from fromnoise.data import digits
from fromnoise.data.colour import with_channels
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resize
from fromnoise.evaluation.score import Comparison
from fromnoise.experiment.comparison import ScoreRequest, comparison

Change = Callable[[Tensor], Tensor]
"""From uint8 images to others."""


@dataclass(frozen=True)
class World:
    """Real images of one kind, in parts that have none in common."""

    train: ImageSet
    reference: ImageSet
    floor: ImageSet
    fresh: ImageSet

    def against(self, generated: ImageSet, **other: ImageSet) -> Comparison:
        """The comparison of these images in this world, but for what is named."""
        world = replace(self, **other)
        return comparison(ScoreRequest(generated, world.reference, world.train, world.floor))

    def some(self, n: int = 500) -> ImageSet:
        """Fresh images, at random and without labels."""
        rows = torch.randperm(len(self.fresh), generator=torch.Generator().manual_seed(0))[:n]
        return bare(self.fresh.take(rows.sort().values.numpy()))

    def copies(self, change: Change | None = None, n: int = 500) -> ImageSet:
        """Training images, changed."""
        return changed(self.train.subset(n, 1), change)


@cache
def world(sort: str) -> World:
    """Of the packaged digits, or of shapes in colour."""
    if sort == "shapes":
        return World(shapes(3000, 1), shapes(1000, 2), shapes(6000, 3), shapes(3000, 4))
    fresh, floor = digits.load("val").split(500, 0)
    assert floor is not None, "half is left"
    return World(digits.load("train"), digits.load("heldout"), floor, fresh)


Make = Callable[[World], Comparison]


@dataclass(frozen=True)
class Case:
    """A manipulation, and what the report is to say of it: one of `expected`, or nothing at all.

    twin  the same images by another design or number: their excess is to be the same, within its error
    """

    kind: str
    name: str
    sort: str
    make: Make
    expected: Sequence[str] = ()
    twin: Make | None = None


SORTS = ("digits", "shapes")
SAME = "same excess"
DAMAGED = ("worse", "told apart")


def cases() -> list[Case]:
    """All of them, in the table's order."""
    kinds = {
        "real": _real,
        "copies": _copies,
        "damage": _damages,
        "variety": _variety,
        "overlap": _overlaps,
        "protocol": _protocol,
    }
    return [Case(kind, *rest) for kind, several in kinds.items() for sort in SORTS for rest in several(sort)]


Rest = tuple[str, str, Make, Sequence[str], Make | None]
"""What a case has beside its kind."""


def _real(sort: str) -> Iterator[Rest]:
    def real(name: str, make: Make) -> Rest:
        return name, sort, make, (), None

    yield real("500 fresh images", lambda w: w.against(w.fresh.subset(500, 0)))
    yield real("300, at random and without labels", lambda w: w.against(w.some(300)))
    if sort == "digits":
        yield real("saved as RGB", lambda w: w.against(with_channels(w.fresh, 3)))
    else:
        yield real("3,000 fresh images", lambda w: w.against(w.fresh))
        swapped = damage("channels swapped", 0.5)  # all colours are equally likely: these are as real as the others
        yield real("500 fresh images, half with channels swapped", lambda w: w.against(changed(w.some(), swapped)))


def _copies(sort: str) -> Iterator[Rest]:
    def copies(name: str, make: Make, *also: str) -> Rest:
        return name, sort, make, ("copying", *also), None

    def disguised(change: Change | None) -> Make:
        return lambda w: w.against(w.copies(change))

    for name, change in {**DISGUISES, **(IN_COLOUR if sort == "shapes" else {})}.items():
        yield copies(name, disguised(change))
    for name, change in BEYOND.items():
        yield copies(name, disguised(change), *DAMAGED)
    yield copies("half of the images", lambda w: w.against(joined(w.copies(n=250), w.some(250))))
    yield copies("5 of 500 to the byte", lambda w: w.against(joined(w.copies(n=5), w.some(495))))
    noisy = damage("noise", 40)
    if sort == "digits":
        yield copies("saved as RGB", lambda w: w.against(with_channels(w.copies(), 3)))
        yield copies("in orange", lambda w: w.against(w.copies(tinted)))
        yield copies("noise of 6; trained on 500 images, six times each", _few_distinct)
    else:
        yield copies("100 of 3,000, noise of 40", lambda w: w.against(joined(w.some(2900), w.copies(noisy, 100))))
        yield copies("30 of 1,000, noise of 40", lambda w: w.against(joined(w.some(970), w.copies(noisy, 30))))
        yield copies("moved by a pixel; trained on 21,000 images", _many_trained)


def _few_distinct(w: World) -> Comparison:
    few = w.train.subset(500, 0)
    often = ImageSet("500 digits, six times each", few.images.repeat(6, 1, 1, 1))
    return w.against(changed(few, damage("noise", 6)), train=often)


def _many_trained(w: World) -> Comparison:
    train = shapes(21_000, 5)
    return w.against(changed(train.subset(500, 1), moved(1)), train=train)


def _damages(sort: str) -> Iterator[Rest]:
    def of(name: str, change: Change, expected: Sequence[str] = DAMAGED) -> Rest:
        return name, sort, lambda w: w.against(changed(w.some(), change)), expected, None

    for name, strength in (*SEEN, *(COLOURS if sort == "shapes" else ())):
        yield of(f"{name}, {strength:g}", damage(name, strength))
    yield of("always the mean image", lambda images: images.float().mean(0, keepdim=True).expand_as(images).byte())
    yield of("random bytes", random_bytes)
    if sort == "digits":
        yield of("in orange", tinted, ("colour",))
        orange = partial(partly, change=lambda images: tinted(images[:, :1]), n=1)
        yield "1 of 500 in orange", sort, lambda w: w.against(orange(with_channels(w.some(), 3))), ("colour",), None
    else:
        yield "half transparent", sort, lambda w: w.against(changed(w.some(), faded)), ("colour",), None
        yield "saved in one channel", sort, lambda w: w.against(with_channels(w.some(), 1)), DAMAGED, None


def _variety(sort: str) -> Iterator[Rest]:
    def of(name: str, make: Callable[[World], ImageSet], *also: str) -> Rest:
        return name, sort, lambda w: w.against(make(w)), (*DAMAGED, *also), None

    yield of("one class only", lambda w: classes(w.fresh, 1), "class shares")
    yield of("a class is missing", lambda w: classes(w.fresh, int(w.fresh.classes) - 1), "class shares")
    yield of("a class is missing, without labels", lambda w: bare(classes(w.fresh, int(w.fresh.classes) - 1)))
    yield of("50 images ten times each", lambda w: again(w.some(), 10), "repeats")
    yield of("250 images twice each", lambda w: again(w.some(), 2), "repeats")
    yield of("250 images twice each, noise of 6", lambda w: changed(again(w.some(), 2), damage("noise", 6)), "repeats")
    yield of("the brighter half", lambda w: bright(w.some(1000)))
    if sort == "digits":
        yield of("labels of other images", lambda w: shuffled(w.fresh), "labels")
    else:
        yield of("100 of 1,000 are digits in colour", lambda w: joined(w.some(900), strange(100)))
        yield of("20 of 1,000 are digits in colour", lambda w: joined(w.some(980), strange(20)))
        blobs = partial(partly, change=damage("principal components", 20), n=230)
        yield "a third of 690 are blobs", sort, lambda w: w.against(blobs(w.some(690))), ("told apart",), None


def _overlaps(sort: str) -> Iterator[Rest]:
    def planted(name: str, n: int, change: Change | None = None) -> Rest:
        def make(w: World) -> Comparison:
            reference = joined(w.reference.subset(400, 0), w.copies(change, n))
            return w.against(w.some(), reference=reference)

        return name, sort, make, ("overlap",), None

    def called_generated(name: str, change: Change | None = None) -> Rest:
        def make(w: World) -> Comparison:
            return w.against(joined(w.some(400), changed(w.reference.subset(100, 0), change)))

        return name, sort, make, ("overlap",), None

    yield planted("600 training images in the reference", 600)
    yield planted("20 training images in the reference", 20)
    yield planted("100 training images, with noise of 6, in the reference", 100, damage("noise", 6))
    yield called_generated("100 of 500 images are the reference's")
    yield called_generated("100 of 500 images are the reference's, darker", damage("darker", 0.7))
    for way in ("mirrored", "turned by a quarter"):
        yield called_generated(f"100 of 500 images are the reference's, {way}", DISGUISES[way])
    if sort == "digits":
        saved = lambda w: w.against(with_channels(w.reference, 3))  # noqa: E731
        yield "all are the reference's, saved as RGB", sort, saved, ("overlap",), None


def _protocol(sort: str) -> Iterator[Rest]:
    blur = damage("blur", 0.5)

    def same(name: str, one: Make, other: Make) -> Rest:
        return name, sort, one, (SAME,), other

    def blurred(w: World, n: int, **other: ImageSet) -> Comparison:
        return w.against(changed(w.some(n), blur), **other)

    if sort == "digits":
        yield same(
            "saved as RGB, or not",
            lambda w: w.against(with_channels(changed(w.fresh, blur), 3)),
            lambda w: w.against(changed(w.fresh, blur)),
        )
        return
    yield same(
        "labels beside images drawn at random, or none",
        lambda w: w.against(w.fresh.take(np.random.default_rng(0).permutation(3000)[:1000])),
        lambda w: w.against(bare(w.fresh.take(np.random.default_rng(0).permutation(3000)[:1000]))),
    )
    yield same("300 blurred images, or 3,000", partial(blurred, n=300), partial(blurred, n=3000))
    yield same("1,000 blurred images, or 3,000", partial(blurred, n=1000), partial(blurred, n=3000))
    yield same(
        "blurred, against 1,000 real ones or against 3,000",
        partial(blurred, n=1000),
        lambda w: blurred(w, 1000, reference=shapes(3000, 6)),
    )


# Changes of images and of sets.


def changed(images: ImageSet, change: Change | None) -> ImageSet:
    """The set with other images."""
    return images if change is None else replace(images, images=change(images.images).contiguous())


def partly(images: ImageSet, change: Change, n: int) -> ImageSet:
    """The set with its first n images changed."""
    return replace(images, images=torch.cat([change(images.images[:n]), images.images[n:]]))


def joined(*sets: ImageSet) -> ImageSet:
    """Several sets as one, without labels."""
    return ImageSet("several", torch.cat([images.images for images in sets]))


def bare(images: ImageSet) -> ImageSet:
    """The set without its labels."""
    return replace(images, labels=None)


def shuffled(images: ImageSet) -> ImageSet:
    """The set with its labels in another order."""
    assert images.labels is not None
    return replace(
        images, labels=images.labels[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]
    )


def classes(images: ImageSet, n: int) -> ImageSet:
    """The first n classes."""
    assert images.labels is not None
    return images.take((images.labels < n).nonzero().flatten().numpy())


def again(images: ImageSet, times: int) -> ImageSet:
    """As many images, of which each is there so often."""
    return ImageSet("again and again", images.images[: len(images) // times].repeat(times, 1, 1, 1))


def bright(images: ImageSet) -> ImageSet:
    """Those that are brighter than half of them."""
    light = images.images.float().mean((1, 2, 3))
    return images.take((light > light.median()).nonzero().flatten().numpy())


def strange(n: int) -> ImageSet:
    """Digits in colour, of the shapes' size."""
    return ImageSet("digits", resize(tinted(digits.load("val").images[:n]), (32, 32)))


def damage(name: str, strength: float) -> Change:
    """One of benchmarks/damages.py."""
    return partial(DAMAGES[name], strength=strength)


def random_bytes(images: Tensor) -> Tensor:
    """No images at all."""
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, images.shape, np.uint8))


def moved(pixels: int) -> Change:
    """Down and to the right."""
    return lambda images: images.roll((pixels, pixels), (2, 3))


def tinted(images: Tensor) -> Tensor:
    """Grey images in orange."""
    tint = torch.tensor([1.0, 0.7, 0.3]).view(1, 3, 1, 1)
    return (images.expand(-1, 3, -1, -1) * tint).round().byte()


def faded(images: Tensor) -> Tensor:
    """Half transparent."""
    return torch.cat([images, torch.full_like(images[:, :1], 128)], dim=1)


def nearer(images: Tensor) -> Tensor:
    """The middle nine tenths, enlarged."""
    side = images.shape[-1]
    return V.resize(V.center_crop(images, [round(0.9 * side)] * 2), [side, side], antialias=True)


def turned(images: Tensor) -> Tensor:
    """By five degrees."""
    return V.rotate(images, 5, interpolation=V.InterpolationMode.BILINEAR)


def halved(images: Tensor) -> Tensor:
    """Reduced to half their size and enlarged again."""
    height, width = images.shape[2:]
    return resize(resize(images, (height // 2, width // 2)), (height, width))


def several(images: Tensor) -> Tensor:
    """Moved by a pixel, darker and noisy."""
    return damage("noise", 10)(damage("darker", 0.7)(moved(1)(images)))


DISGUISES: Mapping[str, Change | None] = {
    "to the byte": None,
    "noise of 20 grey levels": damage("noise", 20),
    "noise of 40 grey levels": damage("noise", 40),
    "at 0.6 of their brightness": damage("darker", 0.6),
    "at 0.6 of their contrast": damage("paler", 0.6),
    "moved by a pixel": moved(1),
    "moved by two pixels": moved(2),
    "mirrored": lambda images: images.flip(3),
    "upside down": lambda images: images.flip(2),
    "turned by a quarter": lambda images: images.rot90(1, (2, 3)),
    "turned by a quarter, mirrored, moved and noisy": lambda images: several(images.rot90(1, (2, 3)).flip(3)),
    "blurred": damage("blur", 1),
    "JPEG of quality 30": damage("JPEG", 30),
    "posterised": damage("posterised", 4),
    "moved, darker and noisy": several,
}
IN_COLOUR: Mapping[str, Change | None] = {
    "turned grey": damage("grey", 1.0),
    "hue turned by 120°": damage("hue turned", 120),
}
BEYOND: Mapping[str, Change] = {
    "as negatives": lambda images: 255 - images,
    "enlarged by a tenth": nearer,
    "turned by five degrees": turned,
    "with a hole of a third": damage("holes", 12),
    "bent": damage("elastic", 1.2),
    "moved by four pixels, each its own way": damage("shift", 4),
    "averaged with another": damage("two at once", 1),
    "with their quarters exchanged": damage("quadrants exchanged", 1),
    "at half the resolution": halved,
    "without their edge": lambda images: F.pad(images[..., 2:-2, 2:-2], (2, 2, 2, 2)),
}
"""Disguises that change what a picture is: it need not be called a copy, but must not pass for a new image."""
SEEN: Sequence[tuple[str, float]] = (
    ("darker", 0.7),
    ("paler", 0.7),
    ("posterised", 2),
    ("blur", 1),
    ("noise", 12),
    ("JPEG", 10),
    ("checkers", 12),
    ("elastic", 2),
    ("shift", 4),
    ("halves exchanged", 0.5),
    ("holes", 8),
    ("two at once", 0.5),
    ("principal components", 20),
)
COLOURS: Sequence[tuple[str, float]] = (("grey", 1.0), ("hue turned", 60))
