"""For Gaussian data the ideal denoiser is linear, so that a whole sampler is one matrix, worked out here by hand."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from fromnoise.diffusion import level
from fromnoise.diffusion.denoiser import ByStep, Denoiser
from fromnoise.diffusion.samplers import SAMPLERS, levels_for
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import DDIM, Ancestral, StochasticDPMSolver2M
from fromnoise.errors import UserError

TABLE = schedule("linear", 60)
METHODS = {
    "ancestral, posterior": Ancestral("posterior"),
    "ancestral, forward": Ancestral("forward"),
    "ddim": DDIM(),
    "ddim, eta 0.4": DDIM(0.4),
    "ddim, eta 1": DDIM(1.0),
    "dpm++": SAMPLERS["dpm++"](),
}
FEW_STEPS = {name: SAMPLERS[name]() for name in ("heun", "ipndm", "dpm++3m", "unipc")}  # more in test_steps
ALL = METHODS | FEW_STEPS
DETERMINISTIC = ("ddim", "dpm++", *FEW_STEPS)


def float64(values):
    return torch.tensor(values, dtype=torch.float64)


COVARIANCES = {
    "narrow": float64([[0.04]]),
    "unit": float64([[1.0]]),
    "wide": float64([[9.0]]),
    "coloured": float64([[2.0, 1.2, 0.1], [1.2, 1.0, -0.2], [0.1, -0.2, 0.3]]),
}


def levels_by(spacing, n, table=TABLE, method="dpm++"):
    return levels_for(SamplerSettings(method.partition(",")[0], n, spacing, logsnr_range=(-9, 10)), table)


def no_noise(k):
    raise AssertionError(f"a deterministic sampler asked for noise at step {k}")


def map_of(method, denoise, levels, d):
    """The sampler as a d × d(1 + steps) matrix from the start and each step's noise to the end."""
    x = torch.eye(d * len(levels), d, dtype=torch.float64)

    def noise(k):
        return x.roll(d * (k + 1), 0)

    return method(denoise, x, levels, noise).T


def test_ddim_takes_even_a_step_from_nothing_to_nearly_clean(randn):
    x, levels = randn(4, 2), torch.tensor([-29.0, 10.5, math.inf], dtype=torch.float64)
    out = DDIM(1.0)(lambda x, _: (x, x), x, levels, lambda _: torch.zeros_like(x))
    assert out.isfinite().all()


def map_by_hand(method, covariance, levels):
    """The same, from formulas of its own: Gaussian conditioning, DDIM's (12), the exponential integrator in b/a."""
    d = len(covariance)
    one = torch.eye(d, dtype=torch.float64)
    abar, rest = 1 / (1 + torch.exp(-levels)), 1 / (1 + torch.exp(levels))
    x = torch.zeros(d, d * len(levels), dtype=torch.float64)
    x[:, :d] = one
    before = None
    for k in range(len(levels) - 1):
        a, b2, a_next, b2_next = abar[k].sqrt(), rest[k], abar[k + 1].sqrt(), rest[k + 1]
        x0 = a * covariance @ torch.linalg.inv(a**2 * covariance + b2 * one) @ x
        sigma2 = torch.zeros(())
        if isinstance(method, Ancestral):
            gain = a / a_next * b2_next / b2  # cov(x_s, x_t | x_0)/var(x_t | x_0)
            x_next = a_next * x0 + gain * (x - a * x0)
            sigma2 = b2_next - gain**2 * b2
            if method.variance == "forward":
                sigma2 = (1 - a**2 / a_next**2) * (b2_next > 0)
        elif isinstance(method, DDIM):
            sigma2 = method.eta**2 * b2_next / b2 * (1 - a**2 / a_next**2)
            x_next = a_next * x0 + (b2_next - sigma2).sqrt() * (x - a * x0) / b2.sqrt()
        else:
            ratio = (b2_next / b2).sqrt() * a / a_next  # of b/a
            straight = x0
            if before is not None and ratio > 0:
                straight = x0 + (x0 - before[1]) * ratio.log() / before[0].log() / 2
            x_next = (b2_next / b2).sqrt() * x + a_next * (1 - ratio) * straight
            before = ratio, x0
        x = x_next
        x[:, d * (k + 1) : d * (k + 2)] += sigma2.sqrt() * one
    return x


@pytest.mark.parametrize("spacing", ["t", "logsnr", "karras"])
@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("method", METHODS)
def test_every_sampler_is_the_linear_map_worked_out_by_hand(ideal, method, covariance, spacing):
    run, covariance, levels = METHODS[method], COVARIANCES[covariance], levels_by(spacing, 12)
    got = map_of(run, ideal(covariance), levels, len(covariance))
    torch.testing.assert_close(got, map_by_hand(run, covariance, levels), rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ALL)
def test_the_datas_mean_goes_through_as_it_is(ideal, randn, method):
    levels, covariance = levels_by("t", 12, method=method), COVARIANCES["coloured"]

    def end(mean):
        start = randn(4, 3) + mean * level.signal(levels[0])
        return ALL[method](ideal(covariance, mean), start, levels, lambda k: randn(4, 3, seed=1 + k))

    torch.testing.assert_close(end(5.0), end(0.0) + 5, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("variance", "end"), [("posterior", 0.9875), ("forward", 0.9999)])
def test_unit_data_ends_at_the_variance_known_for_all_steps_of_the_chapters_schedule(ideal, variance, end):
    table = schedule("linear", 500)
    matrix = map_of(Ancestral(variance), ideal(COVARIANCES["unit"]), levels_by("t", 500, table), 1)
    assert matrix.square().sum().item() == pytest.approx(end, abs=5e-5)


@pytest.mark.parametrize("method", ["ancestral, posterior", "ancestral, forward", "ddim, eta 0.4"])
@pytest.mark.parametrize("covariance", ["narrow", "wide", "coloured"])
def test_the_end_approaches_the_datas_covariance_at_first_order(ideal, method, covariance):
    covariance = COVARIANCES[covariance]
    errors = []
    for n in (50, 100, 200):
        matrix = map_of(METHODS[method], ideal(covariance), levels_by("logsnr", n), len(covariance))
        errors.append((matrix @ matrix.T - covariance).norm() / covariance.norm())
    assert errors[-1] < 0.05
    for coarse, fine in pairwise(errors):
        assert 1.85 < coarse / fine < 2.15


@pytest.mark.parametrize("covariance", ["narrow", "wide", "coloured"])
@pytest.mark.parametrize(("method", "order"), [("ddim", 1), ("dpm++", 2)])
def test_deterministic_samplers_approach_the_exact_flow_at_their_order(ideal, method, order, covariance):
    # The flow keeps x/√(a²s² + b²) in every direction of deviation s; the last call then gives E[x_0|x].
    covariance = COVARIANCES[covariance]
    s2, directions = torch.linalg.eigh(covariance)
    errors = []
    for n in (25, 50, 100):
        levels = levels_by("logsnr", n)
        a2, b2 = 1 / (1 + torch.exp(-levels)), 1 / (1 + torch.exp(levels))
        last = a2[-2].sqrt() * s2 / (a2[-2] * s2 + b2[-2])
        flow = last * ((a2[-2] * s2 + b2[-2]) / (a2[0] * s2 + b2[0])).sqrt()
        got = METHODS[method](ideal(covariance), torch.eye(len(s2)).double(), levels, no_noise).T
        errors.append((got - directions @ flow.diag() @ directions.T).norm() / covariance.norm() ** 0.5)
    assert errors[-1] < {1: 0.03, 2: 0.0007}[order]
    for coarse, fine in pairwise(errors):
        assert order - 0.05 < math.log2(coarse / fine) < order + 0.05


@pytest.fixture
def curved():
    """A denoiser that is no Gaussian's: an eps network with a tanh, told its schedule's steps."""

    def make(table, prediction="eps"):
        def network(x, step):
            return torch.tanh(1.5 * x + torch.cos(step.double() / 100).reshape(-1, 1, 1, 1).to(x.dtype)) * 0.9

        return Denoiser(network, prediction, condition=ByStep(table))

    return make


@pytest.mark.parametrize("spacing_steps", [1, 7, 60])
def test_ddim_with_eta_one_is_ancestral_with_posterior_variance(curved, randn, spacing_steps):
    levels = levels_by("t", spacing_steps)
    ends = [
        run(curved(TABLE), randn(2, 1, 3, 3), levels, lambda k: randn(2, 1, 3, 3, seed=1 + k))
        for run in (DDIM(1.0), Ancestral())
    ]
    torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("method", ALL)
def test_noise_is_asked_for_once_a_step_but_not_at_the_last_and_never_without_need(ideal, randn, method):
    asked, seen = [], []

    def noise(k):
        assert seen[-1].k == k  # the callback comes before the step
        asked.append(k)
        return randn(2, 1, seed=k)

    ALL[method](ideal(COVARIANCES["unit"]), randn(2, 1), levels_by("t", 6, method=method), noise, seen.append)
    assert asked == ([] if method in DETERMINISTIC else [0, 1, 2, 3, 4])


@pytest.mark.parametrize("method", ALL)
def test_the_end_is_the_last_estimate_of_the_data(ideal, randn, method):
    visits = []
    end = ALL[method](
        ideal(COVARIANCES["wide"]),
        randn(3, 1),
        levels_by("t", 6, method=method),
        lambda k: randn(3, 1, seed=k),
        visits.append,
    )
    torch.testing.assert_close(end, visits[-1].x0, rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_pure_noise_is_a_start_for_a_network_that_predicts_v(method):
    table = rescaled_to_zero_terminal_snr(TABLE)
    levels = levels_by("t", 12, table)
    assert levels[0] == level.NOISE
    denoiser = Denoiser(lambda x, condition: torch.zeros_like(x), "v")  # ideal for N(0, 1)
    got = map_of(METHODS[method], denoiser, levels, 1)
    assert got.isfinite().all()
    torch.testing.assert_close(got, map_by_hand(METHODS[method], COVARIANCES["unit"], levels), rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ALL)
def test_pure_noise_is_no_start_for_a_network_that_predicts_eps(curved, randn, method):
    table = rescaled_to_zero_terminal_snr(TABLE)
    with pytest.raises(UserError, match="pure noise"):
        ALL[method](curved(table), randn(2, 1, 3, 3), levels_by("t", 12, table, method=method), no_noise)


@pytest.mark.parametrize(("T", "n", "variance"), [(60, 60, "posterior"), (60, 60, "forward"), (1000, 20, "posterior")])
def test_ancestral_steps_are_diffusers_ddpm(curved, randn, T, n, variance):
    table, kind = schedule("linear", T), {"posterior": "fixed_small", "forward": "fixed_large"}[variance]
    theirs = DDPMScheduler(T, beta_end=0.02, variance_type=kind, clip_sample=False, timestep_spacing="trailing")
    theirs.alphas_cumprod = table.alphas_cumprod[1:]  # the same numbers in float64
    theirs.set_timesteps(n)
    denoiser, x = curved(table), randn(2, 1, 4, 4)
    start, draws = x, torch.Generator().manual_seed(7)
    for k in theirs.timesteps:
        x = theirs.step(denoiser.network(x, k.expand(2)), int(k), x, generator=draws).prev_sample
    again, levels = torch.Generator().manual_seed(7), levels_by("t", n, table)
    ours = Ancestral(variance)(
        denoiser, start, levels, lambda k: torch.randn(2, 1, 4, 4, generator=again, dtype=torch.float64)
    )
    # of a few steps they add noise of deviation 1e-10 at the last
    torch.testing.assert_close(ours, x, rtol=1e-8, atol=2e-9 if n < T else 1e-9)


@pytest.mark.parametrize("prediction", ["eps", "v"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_steps_are_diffusers_ddim(curved, randn, eta, prediction):
    table = schedule("linear", 1000)
    if prediction == "v":
        table = rescaled_to_zero_terminal_snr(table)
    theirs = DDIMScheduler(
        1000,
        beta_end=0.02,
        clip_sample=False,
        timestep_spacing="trailing",
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[prediction],
    )
    theirs.alphas_cumprod = table.alphas_cumprod[1:]
    theirs.set_timesteps(20)
    denoiser, x = curved(table, prediction), randn(2, 1, 4, 4)
    start = x
    for i, k in enumerate(theirs.timesteps):
        draw = randn(2, 1, 4, 4, seed=1 + i) if eta else None
        output = denoiser.network(x, k.expand(2))
        x = theirs.step(output, int(k), x, eta=eta, variance_noise=draw).prev_sample
    ours = DDIM(eta)(denoiser, start, levels_by("t", 20, table), lambda k: randn(2, 1, 4, 4, seed=1 + k))
    torch.testing.assert_close(ours, x, rtol=1e-9, atol=1e-9)


def dpm_solver(algorithm, noise, n):
    """Diffusers' DPM-Solver++(2M) of n steps."""
    scheduler = DPMSolverMultistepScheduler(
        1000,
        beta_start=1e-4,
        beta_end=0.02,
        beta_schedule=noise,
        algorithm_type=algorithm,
        solver_order=2,
        final_sigmas_type="zero",
        timestep_spacing="trailing",
    )
    scheduler.set_timesteps(n)
    return scheduler


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, in set_timesteps
@pytest.mark.parametrize("n", [1, 2, 10, 20])
@pytest.mark.parametrize(("ours", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_dpm_solver_steps_are_diffusers_dpm_solver(curved, randn, n, ours, theirs):
    table = schedule(ours, 1000)
    scheduler = dpm_solver("dpmsolver++", theirs, n)
    denoiser, x = curved(table), randn(2, 1, 4, 4)
    start = x
    for k in scheduler.timesteps:
        x = scheduler.step(denoiser.network(x, k.expand(2)), k, x).prev_sample
    got = METHODS["dpm++"](denoiser, start, levels_by("t", n, table), no_noise)
    # they step in float32
    torch.testing.assert_close(got, x, rtol=2e-4, atol=2e-4)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, in set_timesteps
@pytest.mark.parametrize("n", [2, 10, 20])
def test_stochastic_dpm_solver_steps_are_diffusers(curved, randn, n):
    table = schedule("linear", 1000)
    scheduler = dpm_solver("sde-dpmsolver++", "linear", n)
    denoiser, x = curved(table), randn(2, 1, 4, 4)
    start = x
    for i, k in enumerate(scheduler.timesteps):
        draw = randn(2, 1, 4, 4, seed=1 + i)
        x = scheduler.step(denoiser.network(x, k.expand(2)), k, x, variance_noise=draw).prev_sample
    got = StochasticDPMSolver2M()(denoiser, start, levels_by("t", n, table), lambda k: randn(2, 1, 4, 4, seed=1 + k))
    # they step in float32
    torch.testing.assert_close(got, x, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("method", ALL)
def test_the_callback_sees_every_state_and_estimate(curved, randn, method):
    denoiser, start, levels, visits = curved(TABLE), randn(2, 1, 3, 3), levels_by("t", 5, method=method), []
    ALL[method](denoiser, start, levels, lambda k: randn(2, 1, 3, 3, seed=1 + k), visits.append)
    assert [visit.k for visit in visits] == [0, 1, 2, 3, 4]
    assert {visit.steps for visit in visits} == {5}
    assert [visit.logsnr.item() for visit in visits] == levels[:-1].tolist()
    assert torch.equal(visits[0].x, start)
    for visit in visits:
        assert torch.equal(visit.x0, denoiser(visit.x, visit.logsnr)[0])
        assert torch.equal(visit.noise, denoiser(visit.x, visit.logsnr)[1])
    # each state is where a sampler started at the one before would go
    if isinstance(ALL[method], Ancestral | DDIM):
        for now, then in pairwise(visits):
            seen = []
            pair = torch.stack([now.logsnr, then.logsnr, levels[-1]])
            draw = randn(2, 1, 3, 3, seed=1 + now.k)
            ALL[method](denoiser, now.x, pair, lambda k, draw=draw: draw, seen.append)
            torch.testing.assert_close(seen[1].x, then.x, rtol=0, atol=0)


@pytest.mark.parametrize("method", ALL)
def test_float32_data_stay_float32_and_follow_float64(ideal, randn, method):
    levels, seen = levels_by("karras", 10, method=method), []

    def run(dtype):
        return ALL[method](
            ideal(COVARIANCES["coloured"]),
            randn(4, 3).to(dtype),
            levels,
            lambda k: randn(4, 3, seed=1 + k).to(dtype),
            lambda visit: seen.append(visit.x.dtype),
        )

    single, double = run(torch.float32), run(torch.float64)
    assert single.dtype == torch.float32
    assert seen == [torch.float32] * 10 + [torch.float64] * 10
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ALL)
def test_a_row_does_not_depend_on_the_rows_beside_it(curved, randn, method):
    levels, x = levels_by("t", 5, method=method), randn(3, 1, 3, 3)

    def run(rows):
        return ALL[method](curved(TABLE), x[rows], levels, lambda k: randn(3, 1, 3, 3, seed=1 + k)[rows])

    torch.testing.assert_close(run(slice(1, 2)), run(slice(None))[1:2], rtol=0, atol=1e-13)


def test_every_sampler_is_tested_here():
    assert {type(method) for method in ALL.values()} == set(SAMPLERS.values())
