import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from fromnoise.diffusion import level, prediction
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.objective import LogNormal, Objective, UniformSteps, bound_weight, stratified
from fromnoise.diffusion.schedule import schedule
from fromnoise.errors import UserError

KINDS = prediction.PREDICTIONS
TABLE = schedule("linear", 100)
LEVELS = {"uniform": UniformSteps(TABLE), "lognormal": LogNormal(0.5, 2.0)}
U = stratified(6, 0.4)


def as_it_is(logsnr):
    return logsnr


def off_by(delta, kind, x0, noise, scale):
    """A denoiser that knows the answer and misses it by `delta` in every number it predicts."""
    return Denoiser(lambda x, at: prediction.target(kind, x0 / scale, noise, at) + delta, kind, scale, as_it_is)


@pytest.mark.parametrize("offset", [0.0, 0.37, 0.5, 1 - 1e-12])
@pytest.mark.parametrize("n", [1, 7, 64])
def test_stratified_has_one_number_in_each_nth(n, offset):
    u = stratified(n, offset)
    assert u.dtype == torch.float64
    assert ((u > 0) & (u < 1)).all()
    torch.testing.assert_close(u * n, torch.arange(n) + torch.tensor(offset).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("first_t", [1, 2, 37])
def test_uniform_steps_cover_first_t_to_the_last_equally_often(first_t):
    levels = UniformSteps(TABLE, first_t)
    steps = levels.steps(stratified(5 * (TABLE.T + 1 - first_t), 0.5))
    assert steps.bincount().tolist() == [0] * first_t + [5] * (TABLE.T + 1 - first_t)


@pytest.mark.parametrize("T", [2, 500, 1000, 4000])
def test_the_extremes_of_u_stay_in_the_schedule(T):
    levels = UniformSteps(schedule("logsnr", T))
    extremes = torch.cat([stratified(2, 0.0)[:1], stratified(2, 1 - 1e-15)[1:]])
    assert levels.steps(extremes).tolist() == [1, T]


def test_uniform_steps_give_the_schedules_levels():
    assert torch.equal(LEVELS["uniform"](stratified(TABLE.T, 0.5)), TABLE.logsnr[1:])


@pytest.mark.parametrize("first_t", [0, -1, 101])
def test_a_first_step_outside_the_schedule_is_refused(first_t):
    with pytest.raises(UserError, match=f"1…100, not {first_t}"):
        UniformSteps(TABLE, first_t)


def test_lognormal_levels_have_the_mean_and_deviation_asked_for():
    logsnr = LogNormal(-0.7, 2.4)(stratified(100_000, 0.5))
    assert logsnr.mean().item() == pytest.approx(-0.7, abs=1e-9)
    assert logsnr.std().item() == pytest.approx(2.4, abs=1e-3)
    quarter = LogNormal(-0.7, 2.4)(torch.tensor([0.25], dtype=torch.float64)).item()
    assert quarter == pytest.approx(-0.7 + 2.4 * 0.6744897501960817, abs=1e-12)


@pytest.mark.parametrize("name", LEVELS)
def test_low_u_is_little_noise(name):
    logsnr = LEVELS[name](stratified(50, 0.0))
    assert logsnr.isfinite().all()
    assert (logsnr.diff() < 0).all()


@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("loss_on", [None, *KINDS])
@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_has_no_loss(randn, kind, loss_on, levels, scale):
    x0, noise = scale * randn(6, 1, 2, 2), randn(6, 1, 2, 2, seed=1)
    errors = Objective(LEVELS[levels], loss_on).errors(off_by(0.0, kind, x0, noise, scale), x0, noise, U)
    assert errors.shape == (6,)
    assert errors.max() < 1e-24


# What an error of 1 in the prediction is in the quantity whose error counts.
CONVERSIONS = {
    ("eps", "x0"): lambda a, b: b / a,
    ("eps", "v"): lambda a, b: 1 / a,
    ("x0", "eps"): lambda a, b: a / b,
    ("x0", "v"): lambda a, b: 1 / b,
    ("v", "eps"): lambda a, b: a,
    ("v", "x0"): lambda a, b: b,
}


@pytest.mark.parametrize("scale", [1.0, 0.4])
@pytest.mark.parametrize("loss_on", [None, *KINDS])
@pytest.mark.parametrize("kind", KINDS)
def test_a_known_error_has_the_loss_worked_out_by_hand(randn, kind, loss_on, scale):
    x0, noise = scale * randn(6, 1, 2, 2), randn(6, 1, 2, 2, seed=1)
    errors = Objective(LEVELS["lognormal"], loss_on).errors(off_by(0.3, kind, x0, noise, scale), x0, noise, U)
    logsnr = LEVELS["lognormal"](U) + 2 * math.log(scale)  # as the network sees it
    a, b = (1 / (1 + torch.exp(-logsnr))).sqrt(), (1 / (1 + torch.exp(logsnr))).sqrt()
    factor = CONVERSIONS.get((kind, loss_on), lambda a, b: torch.ones_like(a))(a, b)
    torch.testing.assert_close(errors, (0.3 * factor) ** 2, rtol=1e-10, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_weighted_loss_weighs_the_error_of_the_noise_at_each_step(randn, kind):
    x0, noise = 0.4 * randn(6, 3), randn(6, 3, seed=1)
    objective = Objective(LEVELS["uniform"], weighted=True)
    errors = objective.errors(off_by(0.3, kind, x0, noise, 0.4), x0, noise, U)
    t = (1 + 100 * U).long()
    alpha, abar = TABLE.alphas[t], TABLE.alphas_cumprod[t]
    seen = 0.4**2 * abar / (0.4**2 * abar + 1 - abar)  # ᾱ of data brought to unit deviation
    conversion = CONVERSIONS.get((kind, "eps"), lambda a, b: 1.0)(seen.sqrt(), (1 - seen).sqrt())
    weight = (1 - alpha) / (2 * alpha * (1 - abar))  # w_t with σ² = 1 − α_t
    torch.testing.assert_close(errors, weight * (0.3 * conversion) ** 2, rtol=1e-9, atol=0)


def test_the_label_reaches_the_network(randn):
    labels = []

    def network(x, condition, *label):
        labels.append(label)
        return x

    x0, noise, label = randn(6, 3), randn(6, 3, seed=1), torch.arange(6)
    Objective(LEVELS["uniform"]).errors(Denoiser(network, "v"), x0, noise, U, label)
    assert torch.equal(labels[0][0], label)


@pytest.mark.parametrize("label", [None, torch.arange(6)])
def test_what_was_changed_reaches_the_network_only_where_it_is_given(randn, label):
    told = []

    def network(x, condition, *label, **more):
        told.append((label, more))
        return x

    x0, noise, change = randn(6, 3), randn(6, 3, seed=1), randn(6, 2, seed=2)
    objective, denoiser = Objective(LEVELS["uniform"]), Denoiser(network, "v")
    objective.errors(denoiser, x0, noise, U, label)
    objective.errors(denoiser, x0, noise, U, label, change)
    assert told[0] == (told[1][0], {})
    assert len(told[1][0]) == (label is not None)
    assert told[1][1]["change"] is change


def test_the_loss_has_the_datas_type_and_a_gradient(randn):
    weight = torch.ones((), requires_grad=True)
    x0, noise = randn(6, 3, dtype=torch.float32), randn(6, 3, seed=1, dtype=torch.float32)
    errors = Objective(LEVELS["lognormal"]).errors(Denoiser(lambda x, at: weight * x, "v"), x0, noise, U)
    errors.mean().backward()
    assert errors.dtype == torch.float32
    assert weight.grad is not None
    assert weight.grad != 0


@pytest.mark.parametrize("variance", ["posterior", "forward"])
@pytest.mark.parametrize("t", [2, 10, 99, 100])
def test_the_weight_is_the_divergence_of_one_step_per_squared_error_of_the_noise(variance, t):
    alpha, abar, before = TABLE.alphas[t], TABLE.alphas_cumprod[t], TABLE.alphas_cumprod[t - 1]
    posterior = (1 - alpha) * (1 - before) / (1 - abar)
    sigma2 = {"posterior": posterior, "forward": 1 - alpha}[variance]

    def mean(noise, x=0.8):
        return (x - (1 - alpha) / (1 - abar).sqrt() * noise) / alpha.sqrt()

    truth, guess = 0.7, -1.1
    divergence = kl_divergence(Normal(mean(truth), posterior.sqrt()), Normal(mean(guess), sigma2.sqrt()))
    ratio = posterior / sigma2
    constant = (ratio - 1 - ratio.log()) / 2  # zero for the posterior's own variance
    weight = bound_weight(variance, TABLE.logsnr[t - 1 : t], TABLE.logsnr[t : t + 1])
    assert weight.item() == pytest.approx(((divergence - constant) / (truth - guess) ** 2).item(), rel=1e-9)


def test_the_posterior_weight_is_infinite_at_the_first_step_and_the_forward_one_is_not():
    clean, first = TABLE.logsnr[:1], TABLE.logsnr[1:2]
    assert bound_weight("posterior", clean, first).item() == math.inf
    assert bound_weight("forward", clean, first).item() == pytest.approx(1 / (2 * 0.9999), rel=1e-9)


def test_the_weighted_loss_needs_the_steps_of_a_schedule():
    with pytest.raises(UserError, match="levels uniform"):
        Objective(LEVELS["lognormal"], weighted=True)


@pytest.mark.parametrize("loss_on", ["x0", "v", "score"])
def test_the_weighted_loss_is_on_eps_alone(loss_on):
    assert Objective(LEVELS["uniform"], "eps", weighted=True).weighted
    with pytest.raises(UserError, match="eps"):
        Objective(LEVELS["uniform"], loss_on, weighted=True)


def test_the_weighted_loss_refuses_a_schedule_that_ends_in_pure_noise():
    # its weight at T, 1/α_T, is infinite
    with pytest.raises(UserError, match="zero terminal SNR"):
        Objective(UniformSteps(schedule("linear", 100, zero_terminal_snr=True)), weighted=True)


def test_the_simple_loss_of_v_is_finite_at_pure_noise(randn):
    levels = UniformSteps(schedule("linear", 100, zero_terminal_snr=True), first_t=100)
    assert (levels(U) == level.NOISE).all()
    x0, noise = 0.4 * randn(6, 3), randn(6, 3, seed=1)
    errors = Objective(levels).errors(Denoiser(lambda x, at: 0 * x, "v", 0.4), x0, noise, U)
    torch.testing.assert_close(errors, (x0 / 0.4).square().mean(1), rtol=1e-12, atol=0)


def test_an_unknown_quantity_is_refused_and_the_known_ones_listed():
    with pytest.raises(UserError, match=r"'score'.*eps, x0, v"):
        Objective(LEVELS["uniform"], "score")


def test_lognormal_levels_of_scaled_data_are_those_of_unit_data_as_the_network_sees_them(randn):
    scale, seen = 0.3, []

    def network(x, condition):
        seen.append(condition)
        return x

    denoiser = Denoiser(network, "v", scale)
    Objective(LogNormal(1.0, 2.4, scale)).errors(denoiser, scale * randn(6, 3), randn(6, 3, seed=1), U)
    torch.testing.assert_close(seen[0].double(), LogNormal(1.0, 2.4)(U), rtol=1e-6, atol=1e-5)


def test_the_weighted_loss_follows_the_posterior_variance_from_t_2_on(randn):
    x0, noise = randn(6, 3), randn(6, 3, seed=1)
    levels = UniformSteps(TABLE, first_t=2)
    errors = Objective(levels, weighted=True, variance="posterior").errors(
        off_by(0.3, "eps", x0, noise, 1.0), x0, noise, U
    )
    t = levels.steps(U)
    alpha, abar, sigma2 = TABLE.alphas[t], TABLE.alphas_cumprod[t], TABLE.posterior_variance[t]
    weight = (1 - alpha) ** 2 / (2 * sigma2 * alpha * (1 - abar))
    torch.testing.assert_close(errors, weight * 0.3**2, rtol=1e-9, atol=0)
    with pytest.raises(UserError, match="--first-t 2"):
        Objective(UniformSteps(TABLE), weighted=True, variance="posterior")
