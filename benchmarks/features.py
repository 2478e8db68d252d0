"""Which features see what is wrong with images? Damages of real ones, and how far off each set of features finds them.

    python -m benchmarks.features digits=mnist:train clothes=fashion_mnist:train emoji=EMOJI icons=ICONS

(Half an hour on a core. docs/features.md says where the folders come from.) Real images are dealt into two halves.
One is damaged, and its FID against the other is divided by the floor, the FID of as many undamaged images: 1 is as good
as real. features.json keeps what was measured, and what is in it is not measured again.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from jaxtyping import Float, UInt8
from torch import Tensor

from benchmarks.candidates import CANDIDATES
from benchmarks.damages import DAMAGES, Damage, mixed, repeated
from benchmarks.results import put, table
from benchmarks.shapes import SIDE, shapes
from fromnoise import rng
from fromnoise.data import sources
from fromnoise.data.colour import laid, with_channels
from fromnoise.data.groups import groups
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.neighbours import recall
from fromnoise.evaluation.repeats import repeats
from fromnoise.evaluation.report import ToldApart
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.faces.cli import script
from fromnoise.files import write_json

HERE = Path(__file__).parent
SEEN = 2.0
"""Times the floor from which on a damage counts as seen."""
GENERAL = "general"
MODELS = "a model's, after steps"
SHOWN = 300
"""Damaged images that the two-sample test is shown, and as many real ones."""
SINGLE = (
    "grey",
    "hue turned",
    "channels swapped",
    "darker",
    "paler",
    "blur",
    "noise",
    "JPEG",
    "posterised",
    "checkers",
    "holes",
    "elastic",
    "shift",
    "halves exchanged",
    "two at once",
    "principal components",
)
"""Damages of single images (benchmarks/damages.py)."""

Images = UInt8[Tensor, "n c h w"]
Change = Callable[[ImageSet, float], Images]
"""From real images and a strength to damaged ones, fewer where some are left out."""
Kept = dict[str, Any]
"""Of a set: n, shape, fingerprint, strengths by damage, ratios by damage and features, and what else finds a damage."""


@dataclass(frozen=True)
class Real:
    """Two halves of real images, in random order: one to damage, and the reference.

    more  further images, as many each, where near-duplicates are not left out
    """

    whole: ImageSet
    reference: ImageSet
    more: tuple[ImageSet, ...] = ()

    @classmethod
    def of(cls, spec: str, n: int, distinct: bool = True) -> "Real":
        """The halves of a set, n images in each at most; 32×32, transparency on white.

        If distinct, no two are near-duplicates: else each half would hold what the other does. Files that cannot be
        read are left out.
        """
        images = laid(sources.load(spec, (SIDE, SIDE), skip_broken=True), "white")
        some = images.subset(min(len(images), 4 * n), 0, balanced=False)
        rows = np.unique(groups(some.images), return_index=True)[1] if distinct else np.arange(len(some))
        order = rng.generator(0, "halves", len(rows)).permutation(np.sort(rows))
        n = min(n, len(rows) // 2)
        parts = [some.take(order[k * n : (k + 1) * n]) for k in range(2 if distinct else len(rows) // n)]
        return cls(parts[0], parts[1], tuple(parts[2:]))


def damages(images: ImageSet) -> dict[str, tuple[Sequence[float], Change]]:
    """The damages of such images, each with its strengths, the mildest first."""
    grey = images.shape[0] == 1
    found: dict[str, tuple[Sequence[float], Change]] = {
        name: (DAMAGES[name].strengths, partial(_single, DAMAGES[name]))
        for name in SINGLE
        if not (grey and DAMAGES[name].colour)
    }
    if images.classes > 4:
        found["classes missing"] = (1, 2, 4), _without_classes
    found["brightest share only"] = (0.75, 0.5, 0.25), _brightest
    found["each repeated"] = (2, 5, 20), lambda half, times: repeated(half.images, times)
    found["share of shapes"] = (0.05, 0.1, 0.2), _with_shapes
    return found


def _single(damage: Damage, half: ImageSet, strength: float) -> Images:
    return damage(half.images, strength)


def _without_classes(half: ImageSet, k: float) -> Images:
    """The first classes, without the last k."""
    assert half.labels is not None, "asked for where there are classes"
    return half.images[half.labels < half.classes - k]


def _brightest(half: ImageSet, share: float) -> Images:
    light = half.images.float().mean((1, 2, 3))
    return half.images[light >= light.quantile(1 - share)]


def _with_shapes(half: ImageSet, share: float) -> Images:
    others = with_channels(shapes(len(half), 0), half.shape[0])
    return mixed(half.images, others.images, share)


def fid(images: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """The Fréchet distance; of more features than images by way of their products, to the same number in less time."""
    if images.shape[1] <= len(images):
        return distance(Moments.of(reference), Moments.of(images))
    means = [each.mean(dim=0, dtype=torch.float64) for each in (images, reference)]
    x, y = ((each - mean) / (len(each) - 1) ** 0.5 for each, mean in zip((images, reference), means, strict=True))
    product = x @ y.T
    cross = torch.linalg.eigvalsh(product @ product.T).clamp(min=0).sqrt().sum()
    return float((means[0] - means[1]).square().sum() + x.square().sum() + y.square().sum() - 2 * cross)


def ruler(extract: Features, real: Real) -> Callable[[Images], float]:
    """From images to their FID against the reference, over that of as many real ones, the mean where there are more."""
    reference, others = extract(real.reference.images), [extract(each.images) for each in (real.whole, *real.more)]
    floor = cache(lambda n: statistics.fmean(fid(each[:n], reference) for each in others))
    return lambda images: fid(extract(images), reference) / floor(len(images))


def extractor(named: str, reference: Images) -> Features:
    """The features called so, in NAME or NAME=WEIGHTS, to compare images with a reference by."""
    name, _, weights = named.partition("=")
    if name in CANDIDATES:
        return CANDIDATES[name](reference)
    return features(name, weights=Path(weights) if weights else None)


def elsewhere(images: Images, real: Real) -> dict[str, Any]:
    """What else a report says of images: the two-sample test, recall beside real images', and repeats."""
    ours, theirs = ImageSet("damaged", images), replace(real.reference, labels=None)
    few = [each.subset(min(SHOWN, len(each)), 0) for each in (ours, theirs)]
    try:
        told: ToldApart | None = told_apart(few[0], few[1])
    except ValueError:  # too few different images
        told = None
    extract = extractor(GENERAL, theirs.images)
    beside = real.whole.images[: len(images)]
    real_ones = Featured(extract.cached(theirs.images))
    reached = [recall(Featured(extract.cached(each)), real_ones, 0).value for each in (images, beside)]
    return {
        "auc": told and round(told.auc, 3),
        "told": told is not None and told.detected,
        "recall": [round(each, 3) for each in reached],
        "repeats": repeats(ours, theirs).found,
    }


@dataclass(frozen=True)
class Settings:
    """Damage real images, and see which features notice."""

    data: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="NAME=DATA")]
    """Sets of real images, each with a name for the table."""
    features: tuple[str, ...] = (GENERAL, "digits", "pixels", *CANDIDATES)
    """Sets of features; with the file of their weights where they need one, as in inception=FILE."""
    generated: tuple[str, ...] = ()
    """Images of models, the longest trained first, each after its steps: NAME=STEPS:IMAGES,STEPS:IMAGES,..."""
    n: int = 1000
    """Images of each half, at most."""
    out: Path = HERE / "features.json"
    """Where results are kept."""
    table: Path = HERE.parent / "docs" / "features.md"
    """The document that holds the tables."""


def main(settings: Settings) -> None:
    """Measure what is not known yet, keep it, write the tables."""
    kept: dict[str, Kept] = json.loads(settings.out.read_text()) if settings.out.exists() else {}
    generated = dict(_named(each) for each in settings.generated)
    for name, spec in map(_named, settings.data):
        halves = partial(Real.of, spec, settings.n)
        for _ in measured(name, halves, generated.get(name, ""), settings.features, kept):
            write_json(settings.out, kept)
            put(settings.table, "features", tables(kept))


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"'{text}' has no name: write NAME=DATA, as in digits=mnist:train")
    return name, value


def measured(
    name: str, halves: Callable[..., Real], paths: str, wanted: Sequence[str], kept: dict[str, Kept]
) -> Iterator[None]:
    """Put what is missing of a set into `kept`; yields after each damage.

    The images of models, who learn from near-duplicates too, are compared with halves that have them.
    """
    real = halves()
    about = {"n": len(real.whole), "shape": list(real.whole.shape), "fingerprint": real.reference.fingerprint}
    if not about.items() <= kept.get(name, {}).items():
        kept[name] = about | {"strengths": {}, "ratios": {}, "elsewhere": {}}
    found = kept[name]

    @cache
    def rulers(named: str, distinct: bool) -> Callable[[Images], float]:
        sets = real if distinct else halves(distinct=False)
        return ruler(extractor(named, sets.reference.images), sets)

    rows = damages(real.whole)
    if paths:
        places = {int(steps): place for steps, _, place in (each.partition(":") for each in paths.split(","))}
        rows[MODELS] = tuple(places), lambda half, steps: _generated(places[int(steps)], half)
    for damage, (strengths, change) in rows.items():
        ratios = found["ratios"].setdefault(damage, {})
        missing = [named for named in wanted if named.partition("=")[0] not in ratios]
        if not missing:
            continue
        found["strengths"][damage] = list(strengths)
        sets = [change(real.whole, strength) for strength in strengths]
        for named in missing:
            ratios[named.partition("=")[0]] = [round(rulers(named, damage != MODELS)(images), 3) for images in sets]
        print(f"{name}, {damage}: {ratios}", flush=True)
        yield
    for damage, ratios in found["ratios"].items():
        if damage in found["elsewhere"] or damage not in rows or not (unseen := _unseen(ratios)):
            continue
        strengths, change = rows[damage]
        strength = strengths[max(unseen)]
        found["elsewhere"][damage] = elsewhere(change(real.whole, strength), real) | {"strength": strength}
        print(f"{name}, {damage}, elsewhere: {found['elsewhere'][damage]}", flush=True)
        yield


def _generated(place: str, like: ImageSet) -> Images:
    images = with_channels(laid(sources.load(place, (SIDE, SIDE)), "white"), like.shape[0])
    return images.subset(min(len(images), len(like)), 0, balanced=False).images


def _unseen(ratios: Mapping[str, Sequence[float]]) -> list[int]:
    """The places of the strengths, but for the mildest, at which general features do not see a damage."""
    return [k for k, ratio in enumerate(ratios.get(GENERAL, ())) if k and ratio < SEEN]


def tables(kept: Mapping[str, Kept]) -> str:
    """What counts, the ratios of each set, and what else finds what general features do not see; in Markdown."""
    names = list(dict.fromkeys(each for of in kept.values() for ratios in of["ratios"].values() for each in ratios))
    counts = []
    for name in names:
        rows = [ratios[name] for of in kept.values() for ratios in of["ratios"].values() if name in ratios]
        second, strongest = (sum(row[k:][0] >= SEEN for row in rows) for k in (-2, -1))
        shares = (f"{count} of {len(rows)}, {count / len(rows):.0%}" for count in (second, strongest, _ordered(rows)))
        counts.append([name, *shares])
    parts = [table(["features", "second strongest seen", "strongest seen", "in order of strength"], counts)]
    for name, of in kept.items():
        parts.append(f"### {name}\n\n{of['n']:,} images of {'×'.join(map(str, of['shape']))} in each half.")
        lines = [
            [damage, ", ".join(f"{each:g}" for each in of["strengths"][damage]), *(_cell(ratios.get(k)) for k in names)]
            for damage, ratios in of["ratios"].items()
        ]
        parts.append(table(["damage", "strengths", *names], lines))
    head = ["images", "damage", "times the floor", "told apart (AUC)", "recall (of real images)", "repeats"]
    parts += ["### What general features do not see", table(head, list(_missed(kept)))]
    return "\n\n".join(parts)


def _missed(kept: Mapping[str, Kept]) -> Iterator[list[str]]:
    for name, of in kept.items():
        for damage, other in of["elsewhere"].items():
            strength = other["strength"]
            ratio = of["ratios"][damage][GENERAL][of["strengths"][damage].index(strength)]
            auc = "not asked" if other["auc"] is None else f"{_said(other['told'])} ({other['auc']:.2f})"
            recall = "{:.2f} ({:.2f})".format(*other["recall"])
            yield [name, f"{damage}, {strength:g}", f"{ratio:.3g}", auc, recall, _said(other["repeats"])]


def _ordered(rows: Sequence[Sequence[float]]) -> int:
    return sum(list(row) == sorted(set(row)) for row in rows)


def _said(found: bool) -> str:
    return "**yes**" if found else "no"


def _cell(ratios: Sequence[float] | None) -> str:
    return ", ".join(f"**{ratio:.3g}**" if ratio >= SEEN else f"{ratio:.3g}" for ratio in ratios or ())


if __name__ == "__main__":
    script(main, Settings, __doc__)
