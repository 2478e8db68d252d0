"""Notebook 5: the training set, the jump, pictures and settings."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.config import Config
from fromnoise.data.resize import resize
from fromnoise.diffusion.schedule import schedule
from fromnoise.lab.checking import Finding, checked, close, shaped

T = 500
TABLE = schedule("linear", T)  # the chapter's
SIDE = 32


def seeded(seed: int) -> torch.Generator:
    """A generator."""
    return torch.Generator().manual_seed(seed)


def scales(t: Tensor) -> tuple[Tensor, Tensor]:
    """a and b at the steps t, shaped for images, float32."""
    keep = TABLE.alphas_cumprod[t].float()[:, None, None, None]
    return keep.sqrt(), (1 - keep).sqrt()


@checked("task 3")
def task3(training_set: Callable[..., tuple[Tensor, Tensor]]) -> Iterator[Finding]:
    """training_set(images, labels, m, generator): m×1×32×32 in [−1, 1], and m labels."""
    random = seeded(0)
    images = torch.randint(0, 256, (400, 1, 28, 28), generator=random, dtype=torch.uint8)
    labels = torch.cat([torch.full((40 + 8 * c,), c) for c in range(4)] + [torch.full((192,), 4)])
    labels = labels[torch.randperm(400, generator=random)]
    found, of = training_set(images, labels, 100, seeded(1))
    yield shaped(found, (100, 1, SIDE, SIDE), "the images have the right shape", "the images have")
    counts = of.bincount(minlength=5).tolist()
    yield Finding(
        counts == 5 * [20],
        "equally many of each class",
        f"100 images of 5 classes should be 20 of each, yours are {counts}",
    )
    lowest, highest = float(found.min()), float(found.max())
    yield Finding(
        -1 <= lowest < -0.6 and 0.6 < highest <= 1,
        "pixels within [−1, 1]",
        f"the pixels go from {lowest:.2f} to {highest:.2f}, not from about −1 to 1: 0 should become −1, "
        "and 255 become 1",
    )
    prepared = resize(images, (SIDE, SIDE)).float() / 127.5 - 1
    apart = torch.cdist(found.float().flatten(1), prepared.flatten(1)) / SIDE
    nearest = apart.min(dim=1)
    yield Finding(
        float(nearest.values.max()) < 0.02,
        "resized correctly",
        f"one of the images is off by {float(nearest.values.max()):.2f} (root mean square): resize "
        "bilinearly with antialiasing, then scale",
    )
    yield Finding(
        bool((labels[nearest.indices] == of).all()),
        "each with its own label",
        "some labels belong to other images: choose images and labels by the same rows",
    )
    yield Finding(
        len(set(nearest.indices.tolist())) == 100,
        "none twice",
        f"only {len(set(nearest.indices.tolist()))} of the 100 images differ: draw without replacement",
    )
    step = float(((found.double() + 1) * 127.5 - ((found.double() + 1) * 127.5).round()).abs().max())
    yield Finding(
        step < 1e-3, "whole grey levels", "the pixels are not rounded to the 256 values that 8-bit images have"
    )
    again, other = (training_set(images, labels, 100, seeded(seed))[0] for seed in (1, 2))
    yield Finding(
        torch.equal(found, again),
        "the same seed, the same images",
        "called twice with the same seed, it gives different images",
    )
    yield Finding(
        not torch.equal(found, other),
        "another seed, other images",
        "another seed gives the same images: use the generator",
    )


@checked("task 4")
def task4(noisy: Callable[..., tuple[Tensor, Tensor]]) -> Iterator[Finding]:
    """noisy(x0, t, generator): x_t and the noise, both like x0."""
    x0 = torch.rand(6, 1, SIDE, SIDE, generator=seeded(0)) * 2 - 1
    t = torch.tensor([0, 1, 100, 250, 400, 500])
    result = noisy(x0, t, seeded(1))
    both = isinstance(result, tuple | list) and len(result) == 2
    yield Finding(both, "x_t and the noise", "one tensor comes back: training needs the noise too, so return x_t and ε")
    xt, noise = result
    yield shaped(xt, (6, 1, SIDE, SIDE), "noisy images have the right shape", "noisy images have")
    yield shaped(noise, (6, 1, SIDE, SIDE), "the noise has the right shape", "the noise has")
    yield Finding(
        xt.dtype == x0.dtype, "of the images' type", f"float32 images became {xt.dtype}: the tables are float64"
    )
    mean, deviation = float(noise.mean()), float(noise.std())
    yield Finding(
        abs(mean) < 0.06 and abs(deviation - 1) < 0.05,
        "the noise is standard normal",
        f"the noise has mean {mean:.2f} and deviation {deviation:.2f}, not 0 and 1: return ε itself, not "
        "what is added to x",
    )
    alike = bool((noise[0] - noise[1]).abs().max() < 1e-6)
    yield Finding(not alike, "each image has its own noise", "all images got the same noise")
    yield Finding(
        close(xt[0], x0[0], 1e-6),
        "t = 0 is clean data",
        "at t = 0 something was added: entry 0 of the table is ᾱ_0 = 1",
    )
    off = xt[5] - (0.0802 * x0[5] + 0.9968 * noise[5])
    yield Finding(
        float(off.abs().max()) < 0.01,
        "at t = 500 a trace of 8 % is left",
        "at t = 500, √ᾱ = 0.080 of the image and 0.997 of the noise make x_t: is T = 500, and are both factors roots?",
    )
    a, b = scales(t)
    yield Finding(
        close(xt, a * x0 + b * noise, 1e-4),
        "every image is at its own time",
        "with several times in a batch it is off: each image needs the factors of its own t (shape N×1×1×1)",
    )
    again, other = (noisy(x0, t, seeded(seed))[1] for seed in (1, 2))
    yield Finding(
        torch.equal(noise, again) and not torch.equal(noise, other),
        "the generator decides the noise",
        "the noise does not follow the generator: hand it to torch.randn",
    )


@checked("exercise 5.1")
def exercise_5_1(half_life: Callable[[int], int]) -> Iterator[Finding]:
    """half_life(T): the first t with √ᾱ_t < ½."""
    for steps in (500, 1000):
        root = schedule("linear", steps).alphas_cumprod.sqrt()
        right, found = int((root < 0.5).nonzero()[0]), int(half_life(steps))
        hint = (
            "look at where your table begins, t = 0 or 1" if abs(found - right) == 1 else "√ᾱ, the root of the product"
        )
        at = f"T = {steps}"
        yield Finding(found == right, f"right for {at}", f"for {at} your t is {found}, which is not the first: {hint}")


@checked("exercise 5.5")
def exercise_5_5(pictures: Callable[[Tensor], Tensor]) -> Iterator[Finding]:
    """pictures(x): m×32×32 in 0 … 1."""
    for m in (10, 1):
        x = 2 * torch.randn(m, 1, SIDE, SIDE, generator=seeded(m))
        found = torch.as_tensor(pictures(x))
        plural = "s" * (m > 1)
        given = f"only the axis of the grey channel should go: m = {m} gives"
        yield shaped(found, (m, SIDE, SIDE), f"{m} sample{plural}, {m} picture{plural}", given)
        yield Finding(
            close(found, (x[:, 0] / 2 + 0.5).clamp(0, 1), 1e-5),
            "from [−1, 1] to 0 … 1",
            "the values are off: −1 becomes 0, 1 becomes 1, and what lies beyond is cut off",
        )


@checked("exercise 5.6")
def exercise_5_6(difference: Callable[..., float]) -> Iterator[Finding]:
    """difference(few, many): grey levels."""
    low, high = torch.full((2, 1, 4, 4), 10, dtype=torch.uint8), torch.full((2, 1, 4, 4), 30, dtype=torch.uint8)
    found = float(difference(high, low))
    yield Finding(
        abs(found - 20) < 1e-3, "20 grey levels are 20", f"30 and 10 differ by 20 grey levels, yours by {found:.2f}"
    )
    found = float(difference(low, high))
    yield Finding(
        abs(found - 20) < 1e-3,
        "either way",
        f"10 and 30 differ by {found:.2f}: uint8 has no negative numbers, 10 − 30 wraps round",
    )
    mixed = low.clone()
    mixed[0] = 18
    found = float(difference(mixed, low))
    yield Finding(
        abs(found - math.sqrt(32)) < 1e-3,
        "the root of the mean square",
        f"half the pixels off by 8: the root of the mean square is √(64/2) = 5.66, yours is {found:.2f}",
    )


@checked("exercise 5.7")
def exercise_5_7(chapters_recipe: Callable[[], Config]) -> Iterator[Finding]:
    """chapters_recipe(): a Config."""
    recipe = chapters_recipe()
    yield Finding(isinstance(recipe, Config), "a configuration", f"it returns {type(recipe).__name__}, not a Config")
    process, base = recipe.diffusion, Config()
    for name, right in (("prediction", "eps"), ("schedule", "linear"), ("T", T), ("levels", "uniform")):
        found = getattr(process, name)
        yield Finding(found == right, f"{name}: {right}", f"{name} is {found!r}: the chapter has {right!r}")
    others = [name for name in vars(base) if name != "diffusion" and getattr(recipe, name) != getattr(base, name)]
    yield Finding(not others, "everything else unchanged", f"changed besides the process: {', '.join(others)}")
