"""The chapter's nine faults (the lab names them by number), each guarded by what fromnoise does instead."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from fromnoise.data.settings import DataSettings
from fromnoise.data.sources import load, prepare
from fromnoise.diffusion import forward, prediction
from fromnoise.diffusion.bound import Bound
from fromnoise.diffusion.objective import UniformSteps, stratified
from fromnoise.diffusion.samplers import levels_for, sampler
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import Ancestral
from fromnoise.errors import UserError
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.probability import normal_model
from fromnoise.probability.gaussian import Gaussian

ANCESTRAL = SamplerSettings(sampler="ancestral", sampling_steps=20, spacing="t")


def test_fault_1_densities_are_normalised_and_have_the_inverse_in_the_exponent():
    narrow = Gaussian(torch.tensor([4.0]), torch.tensor([[0.25]]))
    density = lambda x: math.exp(narrow.log_prob(torch.tensor([x], dtype=torch.float64)).item())  # noqa: E731
    assert integrate.quad(density, 0, 8)[0] == pytest.approx(1, abs=1e-9)
    covariance = np.array([[20.0, 16.0], [16.0, 20.0]])
    x = np.array([3.0, -5.0])
    ours = Gaussian(torch.zeros(2), torch.from_numpy(covariance)).log_prob(torch.from_numpy(x)).item()
    assert ours == pytest.approx(stats.multivariate_normal(np.zeros(2), covariance).logpdf(x))


def test_fault_1_the_normal_model_minimises():
    x = Gaussian.standard(2).sample(100, torch.Generator().manual_seed(0)) + 1
    fitted = normal_model.fit(x).mean
    assert normal_model.objective(fitted, x) < normal_model.objective(fitted + 0.01, x)
    assert normal_model.objective(fitted, x) < normal_model.objective(fitted - 0.01, x)


def test_fault_1_the_weight_has_its_factor_and_its_square():
    """(36), (38): w_t = (1 − α_t)²/(2σ_q² α_t (1 − ᾱ_t))."""
    table, t = schedule("linear", 100), torch.tensor([2, 50, 100])
    alpha, alpha_bar = table.alphas[t], table.alphas_cumprod[t]
    expected = (1 - alpha) ** 2 / (2 * table.posterior_variance[t] * alpha * (1 - alpha_bar))
    x0, noise = (torch.randn(3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    missed = lambda x, logsnr: prediction.to_pair("eps", noise + 1, x, logsnr)  # noqa: E731
    torch.testing.assert_close(Bound(table.logsnr[1:]).step(missed, x0, noise, t), expected)


@pytest.mark.parametrize(("T", "left"), [(500, 0.080), (1000, 0.280)])
def test_fault_2_the_schedule_ends_at_its_last_step_whatever_their_number(T, left):
    table = schedule("linear", T)
    assert table.alphas[T] == 0.98
    assert float(table.alphas_cumprod[500].sqrt()) == pytest.approx(left, abs=5e-4)


def test_fault_3_the_forward_function_returns_the_noise_that_made_its_result():
    table, t = schedule("linear", 500), torch.tensor([1, 250, 500])
    x0 = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    xt, noise = forward.noisy(x0, t, table)
    a, b = table.alphas_cumprod[t].sqrt(), (1 - table.alphas_cumprod[t]).sqrt()
    torch.testing.assert_close(xt, a[:, None, None, None] * x0 + b[:, None, None, None] * noise)


def test_fault_4_every_step_is_trained_and_undone_once_and_none_is_missing():
    table = schedule("linear", 20)
    assert table.alphas[0] == table.alphas_cumprod[0] == 1
    trained = UniformSteps(table).steps(stratified(2000, 0.5))
    assert trained.unique().tolist() == list(range(1, 21))
    assert torch.equal(levels_for(ANCESTRAL, table), table.logsnr.flip(0))


def test_fault_5_no_noise_after_the_last_step_and_only_known_variances():
    table, asked = schedule("linear", 20), []

    def noise(k):
        asked.append(k)
        return torch.ones(1, 2)

    sampler(ANCESTRAL)(lambda x, _: (x * 0, x), torch.ones(1, 2), levels_for(ANCESTRAL, table), noise)
    assert asked == list(range(19))
    with pytest.raises(UserError, match="choose one of: posterior, forward"):
        Ancestral("beta")


def test_fault_5_images_are_drawn_with_the_network_in_evaluation_mode(tiny_model):
    modes = []
    tiny_model.network.register_forward_pre_hook(lambda network, _: modes.append(network.training))
    tiny_model.network.train()
    sample(tiny_model, SampleRequest(1))
    assert modes
    assert not any(modes)


def test_fault_6_a_single_image_keeps_its_axes(tiny_model):
    assert sample(tiny_model, SampleRequest(1)).shape == (1, 1, 16, 16)


def test_fault_7_the_training_subset_is_balanced():
    assert prepare(DataSettings(), 0).train.labels.bincount().tolist() == [300] * 10


def test_fault_8_a_reference_clipped_at_mid_grey_lies_far_from_the_digits_it_was_made_of():
    """Measured as the chapter's files were made, against the fault it makes in the FID itself."""
    extract = features("digits")
    heldout, val = load("digits:heldout", (32, 32)).images[::3], load("digits:val", (32, 32)).images[::3]
    clipped = ((heldout.float() / 127.5 - 1).clamp(0, 1) * 255).to(torch.uint8)
    reference = Moments.of(extract(val))
    honest, faulty = (distance(Moments.of(extract(images)), reference) for images in (heldout, clipped))
    assert faulty > 2 * honest


def test_fault_9_few_images_score_higher_and_the_floor_has_the_same_n():
    extract = features("digits")
    reference = Moments.of(extract(load("digits:val", (32, 32)).images[::2]))
    real = extract(load("digits:heldout", (32, 32)).images[::2])
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
    scores = [distance(Moments.of(real[order[:n]]), reference) for n in (70, 180, 500)]
    assert scores[0] > 1.5 * scores[1] > 1.5 * scores[2]
