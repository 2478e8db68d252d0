"""Whether points are learnt: the distance to fresh real points against the floor, the score against the exact one."""

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from fromnoise.diffusion import forward
from fromnoise.diffusion.ideal import score
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.plane.distance import POINTS, floor, transport_distance
from fromnoise.plane.learn import QUICK_STEPS, STEPS, learn, sample
from fromnoise.plane.sets import SETS

TRAINING = 20_000  # points
DRAWS = 8  # distances that are averaged: one differs from the next by a sixth of itself
LEARNT = [name for name in SETS if name != "moons"]  # rings are two curves as well
SAMPLERS = [SamplerSettings(sampling_steps=20), SamplerSettings("ancestral", 200), SamplerSettings("ddim", 100)]


def distance(denoise, name, points_of, settings=None, seed=0):
    """The mean distance of drawn points to real ones that nobody trained on."""
    distances = [
        transport_distance(sample(denoise, POINTS, settings, 100 * seed + k), points_of(name, POINTS, 10_000 + k))
        for k in range(DRAWS)
    ]
    return sum(distances) / DRAWS


def strays(denoise, name, points_of):
    """The share of drawn points that lie farther from the set than 99.9% of real points do.

    A few points between the parts of a set hardly change the distance, but they are what the eye sees first.
    """
    tree = KDTree(points_of(name, 200_000, seed=999))
    limit = np.quantile(tree.query(points_of(name, 20_000, seed=998))[0], 0.999)
    return float((tree.query(sample(denoise, 10_000))[0] > limit).mean())


def score_error(denoiser, exact, points_of, logsnr):
    """(E ‖ŝ − s‖²/E ‖s‖²)^½ over noisy real points, s the score at the level `logsnr` and ŝ the learnt one."""
    level = torch.tensor(logsnr, dtype=torch.float64)
    x0 = points_of("mixture", 10_000, seed=77)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(78), dtype=torch.float64)
    x = forward.jump(x0, noise, level)
    s = score(exact)(x, level)
    return ((score(denoiser)(x.float(), level).double() - s).norm() / s.norm()).item()


@pytest.fixture(scope="module")
def learnt(points_of):
    """The denoiser of a set at the full setting or another, trained once for this file."""
    kept = {}

    def get(name, steps=STEPS, seed=0):
        key = name, steps, seed
        if key not in kept:
            kept[key] = learn(points_of(name, TRAINING, seed), steps=steps, seed=seed)
        return kept[key]

    return get


@pytest.fixture(scope="module")
def floors():
    return {name: floor(sample, draws=2 * DRAWS).mean for name, sample in SETS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SAMPLERS, ids=lambda settings: settings.sampler)
def test_the_exact_denoiser_reaches_the_floor(exact, floors, points_of, settings):
    assert distance(exact, "mixture", points_of, settings) < 1.15 * floors["mixture"]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNT)
def test_what_is_learnt_lies_near_the_floor(learnt, floors, points_of, name):
    assert distance(learnt(name), name, points_of) < 1.5 * floors[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNT)
def test_few_points_stray_from_the_set(learnt, points_of, name):
    full, quick = (strays(learnt(name, n), name, points_of) for n in (STEPS, QUICK_STEPS))
    assert full < 0.02
    assert full < quick < 0.06


@pytest.mark.slow
def test_the_distance_falls_towards_the_floor_with_training(learnt, floors, points_of):
    steps = (20, 80, QUICK_STEPS, STEPS)
    over = [distance(learnt("mixture", n), "mixture", points_of) / floors["mixture"] for n in steps]
    assert over[0] > 2
    assert over[0] > over[1] > over[2]
    assert max(over[2:]) < 1.25


@pytest.mark.slow
def test_the_learnt_score_is_near_the_exact_one(learnt, exact, points_of):
    # The less noise, the smaller is what the score adds to the loss, and the harder it is to learn.
    for logsnr, bound in ((-6.0, 0.01), (-3.0, 0.02), (0.0, 0.05), (2.0, 0.1), (4.0, 0.15), (6.0, 0.3)):
        errors = [score_error(learnt("mixture", n), exact, points_of, logsnr) for n in (QUICK_STEPS, STEPS)]
        assert errors[1] < bound, logsnr
        assert errors[1] < errors[0], logsnr
