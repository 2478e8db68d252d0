"""What a classifier gains from generated images, on real ones that it has not seen.

Two small convolutional networks of one kind learn for equally many batches, from the same start. One sees real training
images alone. Half of what the other sees is generated. The difference in their accuracy on held-out images is the
gain. Training is a matter of luck, so it is repeated: the interval is for other starts as well as for other held-out
images. Both networks see images moved by a pixel or two and with a little noise, as in `judge`: what such
changes achieve alone is no gain.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from scipy import stats
from torch import Tensor

from fromnoise import rng
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.design import Groups
from fromnoise.evaluation.judge import BATCH, Judge, judged, learning, one_thread
from fromnoise.say import bar

SEEDS = 5
"""Times that both networks are trained."""
PASSES, LEAST, MOST = 40, 200, 600
"""Passes over the real training images, and the least and most batches."""
JUDGED = 3000
"""Held-out images, at most, of all classes alike."""


@dataclass(frozen=True)
class ClassGain:
    """The accuracy on one class's held-out images, without and with generated images, and how many there are."""

    name: str
    real: float
    augmented: float
    held_out: int


@dataclass(frozen=True)
class Gain:
    """The accuracy on held-out images of classifiers that learnt from real images, and from generated ones as well.

    verdict     "gain: …", "loss: …" or "no gain: …", where the interval reaches neither side of 0
    difference  `augmented` less `real`
    interval    its 95 % interval, from and to
    """

    verdict: str
    real: float
    augmented: float
    difference: float
    interval: tuple[float, float]
    classes: tuple[ClassGain, ...]
    real_images: int
    generated_images: int
    held_out: int
    trainings: int


def gain(generated: ImageSet, train: ImageSet, held_out: ImageSet, seed: int = 0) -> Gain:
    """The gain from `generated`, by `SEEDS` pairs of classifiers; all sets share their shape and the meaning of labels.

    There are at least `FEWEST` held-out images (`report`), and two classes to learn. One thread computes, so that the
    numbers do not depend on how many there are.
    """
    held_out = held_out.subset(min(JUDGED, len(held_out)), seed, balanced=False)
    truth, classes = _labels(held_out), max(each.classes for each in (generated, train, held_out))
    images = torch.cat([train.images.cpu(), generated.images.cpu()])
    labels = torch.cat([_labels(train), _labels(generated)])
    real, sampled = np.arange(len(train)), np.arange(len(train), len(images))
    steps = min(max(PASSES * len(train) // BATCH, LEAST), MOST)
    right, done = np.empty((2, SEEDS, len(held_out)), dtype=bool), itertools.count(1)
    with bar("training classifiers") as shown:
        for k, (arm, rows) in itertools.product(range(SEEDS), enumerate(([real], [real, sampled]))):
            with one_thread():
                start = rng.integer(seed, "classifier", k)
                network = Judge(images.shape[1], max(images.shape[2:]), start, classes)
                random = rng.generator(seed, "gain", k)
                for _ in learning(network, images, labels, rows, steps, random, F.cross_entropy):
                    shown.show(next(done), 2 * SEEDS * steps)
                right[arm, k] = judged(network, held_out.images.cpu()).argmax(axis=1) == truth.numpy()
    return _summary(right, held_out, train, generated)


def paired(differences: Float[np.ndarray, "s n"], groups: Groups | None = None) -> tuple[float, tuple[float, float]]:
    """The mean of paired differences of s trainings on n images, and its 95 % interval for others of both.

    Trainings and images are crossed random effects: the variances of the means by training and by image add up (what
    is left within a cell counts twice, to be safe), with Satterthwaite's (1946) degrees of freedom. The images of a
    group are one draw, whose size the jackknife allows for. If there is no difference anywhere, the interval is Clopper
    & Pearson's (1934) for the share of draws that might differ.
    """
    mean, by_training = float(differences.mean()), differences.mean(axis=1)
    group = np.arange(differences.shape[1]) if groups is None else np.unique(groups, return_inverse=True)[1]
    weights = np.bincount(group) / len(group)
    by_group = np.bincount(group, differences.mean(axis=0)) / np.bincount(group)
    draws = len(weights)
    if draws < 2:
        return mean, (-1.0, 1.0)
    without = (mean - weights * by_group) / (1 - weights)  # the means of all groups but one
    parts = np.array([by_training.var(ddof=1) / len(by_training), (draws - 1) * float(((without - mean) ** 2).mean())])
    if not differences.any():
        reach = 1 - 0.025 ** (1 / draws)
    elif not parts.sum():
        reach = 0.0
    else:
        freedom = parts.sum() ** 2 / (parts**2 / np.array([len(by_training) - 1, draws - 1])).sum()
        reach = float(stats.t.isf(0.025, freedom) * np.sqrt(parts.sum()))
    return mean, (mean - reach, mean + reach)


def _labels(images: ImageSet) -> Int64[Tensor, " n"]:
    assert images.labels is not None
    return images.labels.cpu()


def _summary(right: Bool[np.ndarray, "2 s n"], held_out: ImageSet, train: ImageSet, generated: ImageSet) -> Gain:
    """The gain, from the classifiers' answers on held-out images, right or wrong."""
    real, augmented = right.mean(axis=(1, 2)).tolist()
    difference, (low, high) = paired(right[1].astype(float) - right[0], held_out.groups)
    kind = "gain" if low > 0 else "loss" if high < 0 else "no gain"
    truth, found = _labels(held_out).numpy(), []
    for label in np.unique(truth).tolist():
        mine = truth == label
        name = train.class_names[label] if label < len(train.class_names) else str(label)
        without, with_them = right[:, :, mine].mean(axis=(1, 2)).tolist()
        found.append(ClassGain(name, without, with_them, int(mine.sum())))
    return Gain(
        f"{kind}: of {len(truth):,} held-out images a classifier gets {100 * augmented:.1f} % right with the generated "
        f"images and {100 * real:.1f} % without: {100 * difference:+.1f} points "
        f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})",
        real,
        augmented,
        difference,
        (low, high),
        tuple(found),
        len(train),
        len(generated),
        len(truth),
        right.shape[1],
    )
