"""Notebook 6: the Fréchet distance, nearest training images, and the distance at infinitely many images."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.lab.checking import Finding, checked, close


@checked("task 7")
def task7(fid: Callable[[Tensor, Tensor], float]) -> Iterator[Finding]:
    """fid(one, other): the Fréchet distance between Gaussians fitted to two sets of features, N×d and M×d."""
    generator = torch.Generator().manual_seed(1)
    mix = torch.tensor([[1.0, 0.4, 0.0], [0.0, 1.0, -0.8], [0.3, 0.0, 2.0]], dtype=torch.float64)
    one = torch.randn(300, 3, dtype=torch.float64, generator=generator)
    other = 0.5 + torch.randn(200, 3, dtype=torch.float64, generator=generator) @ mix
    step = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    same, moved = float(fid(one, one.clone())), float(fid(one, one + step))
    yield Finding(
        abs(same) < 1e-3,
        "a set is at distance 0 from itself",
        f"a set is {same:.3f} away from itself: is it tr(C₁ + C₂ − 2(C₁C₂)^½), with the 2 and a matrix root?",
    )
    yield Finding(
        abs(moved - 25) < 1e-2,
        "shifted by 5, a set is at distance 25",
        f"shifted by 5, a set is at distance {moved:.3f}, not 25: the distance of the means is squared",
    )
    right, found = distance(Moments.of(one), Moments.of(other)), float(fid(one, other))
    by_n = [Moments(m.mean, m.covariance * (m.n - 1) / m.n, m.n) for m in (Moments.of(one), Moments.of(other))]
    apart = distance(*(Moments(m.mean, m.covariance.diagonal().diag(), m.n) for m in by_n))
    hint = "a matrix's root is not the root of its entries: use its eigenvalues, or scipy.linalg.sqrtm"
    yield Finding(
        min(abs(found - right), abs(found - distance(*by_n))) < 1e-3 * right,  # covariances by N − 1 or by N
        f"two other sets: {right:.3f}",
        f"for two other sets it is {right:.3f}, not {found:.3f} (the diagonals alone give {apart:.3f}): {hint}",
    )
    back = float(fid(other, one))
    yield Finding(abs(back - found) < 1e-3 * right, "symmetric", f"one way it is {found:.3f}, the other way {back:.3f}")


@checked("exercise 6.1")
def exercise_6_1(diagonal: Callable[..., float]) -> Iterator[Finding]:
    """diagonal(mean1, variance1, mean2, variance2): the distance of two Gaussians with diagonal covariances."""
    generator = torch.Generator().manual_seed(2)
    for d in (1, 3, 20):
        mean1, mean2 = torch.randn(2, d, dtype=torch.float64, generator=generator)
        variance1, variance2 = 0.1 + 4 * torch.rand(2, d, dtype=torch.float64, generator=generator)
        right = distance(Moments(mean1, variance1.diag(), 10), Moments(mean2, variance2.diag(), 10))
        found = float(diagonal(mean1, variance1, mean2, variance2))
        yield Finding(
            close(found, right, 1e-6),
            f"{d} dimensions: {right:.4f}",
            f"in {d} dimensions it is {right:.4f}, not {found:.4f}: sum the squared differences of the means and "
            "of the deviations (you are given variances)",
        )


@checked("exercise 6.2")
def exercise_6_2(nearest: Callable[..., tuple[Tensor, Tensor]]) -> Iterator[Finding]:
    """nearest(images, bank): distance (root mean square over pixels) to the nearest row of bank, and which it is."""
    generator = torch.Generator().manual_seed(3)
    bank = torch.rand(40, 30, generator=generator)
    images = torch.cat([bank[[7, 3]], bank[[11]] + 0.05, torch.rand(2, 30, generator=generator)])
    far, which = nearest(images, bank)
    shapes = [tuple(far.shape), tuple(which.shape)]
    yield Finding(shapes == [(5,), (5,)], "one distance and one position for each image", f"5 images give {shapes}")
    yield Finding(
        which[:3].tolist() == [7, 3, 11],
        "copies are found",
        f"copies of rows 7, 3 and 11 are found at {which[:3].tolist()}: return positions in bank",
    )
    yield Finding(
        float(far[:2].abs().max()) < 1e-3,
        "at distance 0",
        f"copies are {float(far[0]):.3f} away from their originals",
    )
    yield Finding(
        abs(float(far[2]) - 0.05) < 1e-4,
        "an image that is brighter by 0.05 is at distance 0.05",
        f"a copy brighter by 0.05 in every pixel is at distance {float(far[2]):.4f}: take the root of the mean square "
        "over 30 pixels",
    )
    right = (images[3:, None] - bank).square().mean(dim=2).sqrt().min(dim=1)
    yield Finding(
        close(far[3:], right.values, 1e-4) and which[3:].tolist() == right.indices.tolist(),
        "and those of other images too",
        "for images that are not copies, another row of bank is nearer",
    )


@checked("exercise 6.3")
def exercise_6_3(at_infinity: Callable[[int, float, int, float], float]) -> Iterator[Finding]:
    """at_infinity(n, fid_n, m, fid_m): what FID = f∞ + c/n gives for infinitely many images."""
    for n, m, end, c in ((250, 500, 1.0, 400.0), (200, 1000, 0.3, 90.0), (900, 300, 2.0, 1500.0)):
        found = float(at_infinity(n, end + c / n, m, end + c / m))
        yield Finding(
            abs(found - end) < 1e-6,
            f"from n = {n} and n = {m}",
            f"FIDs {end + c / n:.3f} at n = {n} and {end + c / m:.3f} at n = {m} lead to {end:g}, not {found:.3f}: two "
            "equations, two unknowns",
        )
