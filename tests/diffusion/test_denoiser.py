import pytest
import torch

from fromnoise.diffusion import forward, level
from fromnoise.diffusion.denoiser import ByStep, Denoiser, by_logsnr, guided
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule
from fromnoise.errors import UserError

LEVELS = torch.tensor([-6.0, -1.0, 0.0, 2.0, 7.0], dtype=torch.float64)


def as_it_is(logsnr):
    return logsnr


# The ideal networks for data of unit deviation: E[ε|x] = b·x, E[x_0|x] = a·x, so that E[v|x] = 0.
IDEAL = {
    "eps": lambda x, logsnr: level.noise_scale(logsnr)[:, None] * x,
    "x0": lambda x, logsnr: level.signal(logsnr)[:, None] * x,
    "v": lambda x, logsnr: torch.zeros_like(x),
}


@pytest.mark.parametrize("kind", IDEAL)
def test_an_ideal_network_gives_the_expected_data_and_noise(randn, kind):
    x = randn(5, 3)
    x0, noise = Denoiser(IDEAL[kind], kind, as_it_is)(x, LEVELS)
    abar = (1 / (1 + torch.exp(-LEVELS)))[:, None]
    torch.testing.assert_close(x0, abar.sqrt() * x, rtol=0, atol=1e-12)
    torch.testing.assert_close(noise, (1 - abar).sqrt() * x, rtol=0, atol=1e-12)


def test_the_network_sees_the_data_and_its_levels(randn):
    seen = {}

    def network(x, condition):
        seen["x"], seen["condition"] = x, condition
        return x

    x = randn(5, 3)
    Denoiser(network, "v", as_it_is).output(x, LEVELS)
    assert torch.equal(seen["condition"], LEVELS)
    assert torch.equal(seen["x"], x)


def test_one_level_serves_all_rows(randn):
    denoiser = Denoiser(IDEAL["x0"], "x0", as_it_is)
    x = randn(4, 3)
    torch.testing.assert_close(denoiser(x, LEVELS[1]), denoiser(x, LEVELS[1].expand(4)), rtol=0, atol=0)


def test_eps_at_pure_noise_is_refused_even_in_one_row(randn):
    levels = torch.tensor([0.0, level.NOISE], dtype=torch.float64)
    with pytest.raises(UserError, match="pure noise"):
        Denoiser(IDEAL["eps"], "eps", as_it_is)(randn(2, 3), levels)


@pytest.mark.parametrize("kind", ["x0", "v"])
def test_x0_and_v_at_pure_noise_give_the_mean_of_the_data(randn, kind):
    x = randn(2, 3)
    x0, noise = Denoiser(IDEAL[kind], kind, as_it_is)(x, torch.tensor(level.NOISE, dtype=torch.float64))
    torch.testing.assert_close((x0, noise), (torch.zeros_like(x), x), rtol=0, atol=0)


def test_an_unknown_prediction_is_refused():
    with pytest.raises(UserError, match=r"'score'.*eps, x0, v"):
        Denoiser(IDEAL["eps"], "score")


def test_the_label_reaches_the_network_and_its_absence_too(randn):
    calls = []

    def network(x, condition, *label):
        calls.append(label)
        return x

    denoiser, x, label = Denoiser(network, "v"), randn(2, 3), torch.tensor([4, 7])
    denoiser(x, LEVELS[0], label)
    denoiser(x, LEVELS[0])
    assert len(calls[0]) == 1
    assert torch.equal(calls[0][0], label)
    assert calls[1] == ()


@pytest.mark.parametrize("kind", IDEAL)
def test_the_datas_type_is_kept_whatever_the_networks(randn, kind):
    denoiser = Denoiser(lambda x, condition: x.bfloat16(), kind)
    x0, noise = denoiser(randn(2, 3, dtype=torch.float32), LEVELS[1])
    assert x0.dtype == noise.dtype == torch.float32


def test_by_logsnr_tells_the_level_itself_in_float32_and_kept_finite():
    told = by_logsnr(torch.tensor([level.NOISE, -1.25, 3.5, level.CLEAN], dtype=torch.float64))
    assert told.dtype == torch.float32
    assert told.tolist() == [-30, -1.25, 3.5, 30]


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize(("name", "T"), [("linear", 500), ("linear", 1000), ("cosine", 1000), ("logsnr", 1000)])
def test_by_step_counts_the_schedules_levels_from_zero(name, T, zero):
    table = schedule(name, T)
    if zero:
        table = rescaled_to_zero_terminal_snr(table)
    steps = ByStep(table)(table.logsnr[1:])
    assert steps.dtype == torch.int64
    assert torch.equal(steps, torch.arange(T))
    order = torch.tensor([T, 1, T // 2])
    assert torch.equal(ByStep(table)(table.logsnr[order]), order - 1)


@pytest.mark.parametrize("at", [level.CLEAN, level.NOISE, 12.0, -9.0])
def test_by_step_refuses_levels_beyond_its_schedule(at):
    table = schedule("linear", 500)
    levels = torch.stack([table.logsnr[3], torch.tensor(at, dtype=torch.float64)])
    with pytest.raises(UserError, match="schedule"):
        ByStep(table)(levels)


@pytest.mark.parametrize("t", [1, 50, 499])
def test_by_step_refuses_levels_between_two_of_its_own(t):
    table = schedule("linear", 500)
    between = torch.logit(table.alphas_cumprod[t : t + 2].mean())
    with pytest.raises(UserError, match="schedule"):
        ByStep(table)(between[None])


@pytest.fixture
def labelled():
    """A denoiser whose answer depends on the label, and on nothing less."""

    def denoise(x, logsnr, label):
        effect = torch.sin(label.double() + 1)[:, None]
        return x * effect, x + effect

    return denoise


def test_guidance_of_one_is_the_conditional_and_of_zero_the_unconditional(randn, labelled):
    x, label, null = randn(3, 2), torch.tensor([0, 3, 9]), torch.full((3,), 10)
    for weight, alone in ((1.0, label), (0.0, null)):
        pair = guided(labelled, 10, weight)(x, LEVELS[0], label)
        torch.testing.assert_close(pair, labelled(x, LEVELS[0], alone), rtol=0, atol=0)


@pytest.mark.parametrize("weight", [0.5, 3.0])
def test_guidance_multiplies_the_labels_effect(randn, labelled, weight):
    x, label, null = randn(3, 2), torch.tensor([0, 3, 9]), torch.full((3,), 10)
    yes, no = labelled(x, LEVELS[0], label), labelled(x, LEVELS[0], null)
    expected = tuple(without + weight * (with_ - without) for with_, without in zip(yes, no, strict=True))
    torch.testing.assert_close(guided(labelled, 10, weight)(x, LEVELS[0], label), expected, rtol=0, atol=1e-14)


def test_guidance_without_a_label_is_refused(randn, labelled):
    with pytest.raises(UserError, match="none was given"):
        guided(labelled, 10, 3.0)(randn(3, 2), LEVELS[0])


def test_guidance_keeps_to_its_interval(randn, labelled):
    x, label = randn(3, 2), torch.tensor([0, 3, 9])
    call = guided(labelled, 10, 3.0, (-1.0, 2.0))
    for at, strong in ((-1.5, False), (-1.0, True), (0.3, True), (2.0, True), (2.5, False)):
        logsnr = torch.tensor(at, dtype=torch.float64)
        expected = (guided(labelled, 10, 3.0) if strong else labelled)(x, logsnr, label)
        torch.testing.assert_close(call(x, logsnr, label), expected, rtol=0, atol=0)


def test_a_guided_pair_still_makes_up_the_noisy_data(randn):
    def network(x, condition, label):
        return torch.tanh(x + label[:, None])

    x, label = randn(3, 2), torch.tensor([0, 1, 2])
    pair = guided(Denoiser(network, "v"), 3, 4.0)(x, LEVELS[1], label)
    torch.testing.assert_close(forward.jump(*pair, LEVELS[1]), x, rtol=0, atol=1e-13)
