import dataclasses

import pytest
import torch

from fromnoise.diffusion.ideal import of_mixture
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.errors import UserError
from fromnoise.plane.learn import learn, sample
from fromnoise.probability.gaussian import Gaussian


def weights(denoiser):
    return torch.cat([parameter.flatten() for parameter in denoiser.network.parameters()])


def test_the_same_points_and_seed_give_the_same_denoiser(points_of):
    points = points_of("moons", 500)
    before = torch.get_rng_state()
    one, again, other = (weights(learn(points, steps=5, batch=64, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())


def test_each_step_is_told_with_its_loss_and_the_loss_falls(points_of):
    told = []
    learn(points_of("mixture", 2000), steps=120, batch=512, callback=lambda step, loss: told.append((step, loss)))
    assert [step for step, _ in told] == list(range(1, 121))
    # a network that says nothing pays E v² = 1, for data of unit deviation and levels of its own
    assert told[0][1] == pytest.approx(1, abs=0.1)
    assert sum(loss for _, loss in told[-20:]) / 20 < 0.93


def test_the_denoiser_is_ready_to_use(points_of):
    denoiser = learn(points_of("rings", 500), steps=3, batch=64)
    assert denoiser.prediction == "v"
    assert not denoiser.network.training
    assert not any(parameter.requires_grad for parameter in denoiser.network.parameters())


def test_the_weights_are_the_average_of_those_of_the_steps(points_of, monkeypatch):
    points, live = points_of("moons", 500), []
    made = torch.optim.Adam

    def spied(parameters, **settings):
        live.extend(parameters)
        return made(live, **settings)

    monkeypatch.setattr(torch.optim, "Adam", spied)
    seen = []
    # the callback comes after the step
    got = learn(points, 40, 64, callback=lambda *_: seen.append(torch.cat([p.detach().flatten() for p in live])))
    average = seen[0]
    for now in seen[1:]:
        average = 0.75 * average + 0.25 * now  # 1 − 10/40
    torch.testing.assert_close(weights(got), average, rtol=1e-5, atol=1e-6)
    assert (weights(got) - seen[-1]).abs().max() > 1e-5


def test_gaussian_points_of_any_place_come_back_as_they_are():
    gaussian = Gaussian(torch.tensor([2.0, -1.0]), torch.tensor([[0.9, 0.4], [0.4, 0.6]]))
    points = gaussian.sample(5000, torch.Generator().manual_seed(0))
    drawn = sample(learn(points, steps=300, batch=512), 4000)
    assert ((drawn.mean(dim=0) - gaussian.mean).abs() < 0.1).all()
    assert (drawn.T.cov() - gaussian.covariance).norm() / gaussian.covariance.norm() < 0.12


@pytest.mark.parametrize(("points", "more", "message"), [
    (torch.zeros(10), {}, "m×2"),
    (torch.zeros(10, 3), {}, "m×2"),
    (torch.full((10, 2), float("nan")), {}, "finite"),
    (torch.zeros(0, 2), {}, "m×2"),
    (torch.eye(2), {"steps": 0}, "at least one step"),
    (torch.eye(2), {"batch": 0}, "at least one step"),
])  # fmt: skip
def test_what_cannot_be_learnt_is_refused(points, more, message):
    with pytest.raises(ValueError, match=message):
        learn(points, **more)


SETTINGS = [
    SamplerSettings(sampling_steps=20),
    SamplerSettings("ancestral", 30, "t"),
    SamplerSettings("ddim", 30, "logsnr"),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.sampler)
def test_a_point_is_the_same_however_many_are_drawn(exact, settings):
    few, many = (sample(exact, m, settings, seed=4) for m in (7, 30))
    assert many.dtype == torch.float64
    torch.testing.assert_close(few, many[:7], rtol=0, atol=1e-5)
    assert not torch.allclose(few, sample(exact, 7, settings, seed=5), atol=1e-2)


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.sampler)
def test_the_mean_and_covariance_of_gaussian_data_come_out(settings):
    covariance = torch.tensor([[1.4, 0.5], [0.5, 0.6]], dtype=torch.float64)
    exact = of_mixture(torch.ones(1), torch.tensor([[0.5, -1.0]]), covariance[None])
    drawn = sample(exact, 20_000, dataclasses.replace(settings, sampling_steps=100))
    torch.testing.assert_close(drawn.mean(dim=0), torch.tensor([0.5, -1.0]).double(), rtol=0, atol=0.05)
    torch.testing.assert_close(drawn.T.cov(), covariance, rtol=0, atol=0.08)


def test_settings_that_no_sampler_knows_are_refused(exact):
    with pytest.raises(UserError, match="euler"):
        sample(exact, 3, SamplerSettings("euler"))
    with pytest.raises(UserError, match="at least 1 step"):
        sample(exact, 3, SamplerSettings(sampling_steps=0))
