import math

import pytest
import torch

from fromnoise.diffusion import level, prediction
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.objective import LogNormal, Objective, UniformSteps, stratified
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule
from fromnoise.errors import UserError

KINDS = list(prediction.TO_PAIR)
TABLE = schedule("linear", 100)
LEVELS = {"uniform": UniformSteps(TABLE), "lognormal": LogNormal(0.5, 2.0)}
U = stratified(6, 0.4)


def as_it_is(logsnr):
    return logsnr


def off_by(delta, kind, x0, noise):
    """A denoiser that knows the answer and misses it by `delta` in every number it predicts."""
    return Denoiser(lambda x, at: prediction.target(kind, x0, noise, at) + delta, kind, as_it_is)


@pytest.mark.parametrize("offset", [0.0, 0.37, 0.5, 1 - 1e-12])
@pytest.mark.parametrize("n", [1, 7, 64])
def test_stratified_has_one_number_in_each_nth(n, offset):
    u = stratified(n, offset)
    assert u.dtype == torch.float64
    assert ((u > 0) & (u < 1)).all()
    torch.testing.assert_close(u * n, torch.arange(n) + torch.tensor(offset).double(), rtol=0, atol=1e-6)


def test_uniform_steps_cover_the_schedule_equally_often():
    steps = UniformSteps(TABLE).steps(stratified(5 * TABLE.T, 0.5))
    assert steps.bincount().tolist() == [0] + [5] * TABLE.T


@pytest.mark.parametrize("T", [2, 500, 1000, 4000])
def test_the_extremes_of_u_stay_in_the_schedule(T):
    levels = UniformSteps(schedule("logsnr", T))
    extremes = torch.cat([stratified(2, 0.0)[:1], stratified(2, 1 - 1e-15)[1:]])
    assert levels.steps(extremes).tolist() == [1, T]


def test_uniform_steps_give_the_schedules_levels():
    assert torch.equal(LEVELS["uniform"](stratified(TABLE.T, 0.5)), TABLE.logsnr[1:])


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


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_has_no_loss(randn, kind, levels):
    x0, noise = randn(6, 1, 2, 2), randn(6, 1, 2, 2, seed=1)
    errors = Objective(LEVELS[levels]).errors(off_by(0.0, kind, x0, noise), x0, noise, U)
    assert errors.shape == (6,)
    assert errors.max() < 1e-24


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_mean_square_of_what_the_network_misses(randn, kind):
    x0, noise = randn(6, 1, 2, 2), randn(6, 1, 2, 2, seed=1)
    errors = Objective(LEVELS["lognormal"]).errors(off_by(0.3, kind, x0, noise), x0, noise, U)
    torch.testing.assert_close(errors, torch.full_like(errors, 0.3**2), rtol=1e-10, atol=0)


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


def test_the_simple_loss_of_v_is_finite_at_pure_noise(randn):
    table = rescaled_to_zero_terminal_snr(schedule("linear", 100))

    def levels(u):
        return table.logsnr[-1].expand(len(u))

    assert (levels(U) == level.NOISE).all()
    x0, noise = randn(6, 3), randn(6, 3, seed=1)
    errors = Objective(levels).errors(Denoiser(lambda x, at: 0 * x, "v"), x0, noise, U)
    torch.testing.assert_close(errors, x0.square().mean(1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("deviation", [0.0, -1.0, math.nan])
def test_levels_that_do_not_spread_are_refused(deviation):
    with pytest.raises(UserError, match="deviation must be above 0"):
        LogNormal(0.0, deviation)
