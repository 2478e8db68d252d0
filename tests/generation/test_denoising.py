from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.schedule import schedule
from fromnoise.generation import denoising
from fromnoise.generation.denoising import denoising_errors, known_levels
from fromnoise.networks.chapter import ChapterUNet

LEVELS = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)


@pytest.fixture
def denoiser(monkeypatch):
    """Gives every model this denoiser instead of its network's."""
    return lambda denoise: monkeypatch.setattr(denoising, "labelled", lambda *_, **__: denoise)


def test_errors_are_of_clean_images_in_units_of_their_mean_square(tiny_model, blobs_of, denoiser):
    images = blobs_of(70)
    x0 = tiny_model.info.encode(images.images)
    denoiser(lambda x, logsnr: (torch.zeros_like(x), x))
    errors = denoising_errors(tiny_model, images.images, LEVELS)
    assert errors.shape == (70, 3)
    np.testing.assert_allclose(errors, x0.square().flatten(1).mean(dim=1)[:, None].repeat(1, 3), rtol=1e-6)
    assert errors.mean() == pytest.approx(1, rel=0.2)


def test_both_sets_are_given_the_same_noise_and_levels_other_noise(tiny_model, blobs_of, denoiser):
    denoiser(lambda x, logsnr: (x, x))
    black = torch.zeros(70, 1, 16, 16, dtype=torch.uint8)
    first = denoising_errors(tiny_model, black, LEVELS)
    np.testing.assert_array_equal(denoising_errors(tiny_model, black, LEVELS), first)
    np.testing.assert_array_equal(denoising_errors(tiny_model, black[:66], LEVELS), first[:66])
    assert len(np.unique(first)) == first.size
    assert (denoising_errors(tiny_model, black, LEVELS, seed=1) != first).all()


def test_a_network_of_steps_is_judged_at_the_steps_nearest_to_the_levels():
    by_step = ChapterUNet.condition(schedule("linear", 500))
    model = SimpleNamespace(denoiser=lambda: Denoiser(ChapterUNet, condition=by_step))
    found = known_levels(model, (1.0, 0.0, -1.0))
    assert found.tolist() == pytest.approx([1.0, 0.0, -1.0], abs=0.05)
    by_step(found)  # refuses levels that are not its schedule's
