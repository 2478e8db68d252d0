"""The process as researchers use it, with networks of their own; examples/own_network.py runs."""

import importlib.util
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from fromnoise import process
from fromnoise.errors import UserError

EXAMPLES = Path(__file__).parents[1] / "examples"


class Ideal(nn.Module):
    """The exact v of data that is a single point for each class."""

    def __init__(self, points):
        super().__init__()
        self.register_buffer("points", points)

    def forward(self, x, logsnr, label):
        a, b = (torch.sigmoid(sign * logsnr).sqrt()[:, None] for sign in (1, -1))
        x0 = self.points[label]
        return a * (x - a * x0) / b - b * x0


class Linear(nn.Module):
    """The best v for standard normal data is 0; this one has to learn it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, x, logsnr):
        assert logsnr.dtype == torch.float32
        assert logsnr.shape == (len(x),)
        return self.weight * x


def test_a_network_is_trained_in_a_few_lines():
    denoiser = process.Denoiser(Linear(), "v")
    optimizer = torch.optim.Adam(denoiser.network.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        loss = process.loss(denoiser, torch.randn(128, 2, generator=generator), generator=generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert abs(denoiser.network.weight.item()) < 0.05
    assert losses[0] == pytest.approx(1 + 0.25, rel=0.15)  # v is of unit variance and independent of x
    assert losses[-1] == pytest.approx(1, rel=0.15)


def test_the_loss_repeats_with_its_generator():
    denoiser, x0 = process.Denoiser(Linear(), "eps"), torch.ones(8, 3)
    one, same, other = (
        process.loss(denoiser, x0, generator=torch.Generator().manual_seed(seed)).item() for seed in (1, 1, 2)
    )
    assert one == same != other


def test_every_row_of_a_batch_sees_every_level():
    """Also where a batch comes in the same order each time, as when a network is tried out on a single one."""
    seen = []

    def network(x, logsnr):
        seen.append(logsnr)
        return x

    for k in range(100):
        process.loss(process.Denoiser(network, "v"), torch.ones(8, 2), generator=torch.Generator().manual_seed(k))
    levels = torch.stack(seen)
    assert bool((levels.sort(dim=1).values.diff() > 0).all())  # stratified
    assert (levels.mean(dim=0) + 1).abs().max() < 4 * 2.4 / 10  # LEVELS' mean −1 and deviation 2.4


@pytest.mark.parametrize("shape", [(4, 1), (1, 2), (4,)])
def test_a_network_of_another_shape_is_refused_instead_of_broadcast(shape):
    denoiser = process.Denoiser(lambda x, logsnr: torch.zeros(shape), "v")
    with pytest.raises(UserError, match=r"like its input, 4×2; it returned"):
        process.loss(denoiser, torch.ones(4, 2))
    with pytest.raises(UserError, match=r"like its input, 4×2; it returned"):
        process.sample(denoiser, (4, 2))


def test_guidance_is_by_a_guided_denoiser():
    points = torch.tensor([[1.0, -0.5], [0.0, 0.0]])  # the second is the class for no label
    label, denoiser = torch.zeros(3, dtype=torch.long), process.Denoiser(Ideal(points), "v")
    settings = process.SamplerSettings(spacing="logsnr")
    x = process.sample(process.guided(denoiser, 1, 3.0), (3, 2), label, settings)
    assert torch.allclose(x, 3 * points[label], atol=1e-3)
    with pytest.raises(UserError, match=r"process.guided\(denoiser, null, 3\)"):
        process.sample(denoiser, (3, 2), label, process.SamplerSettings(guidance=3.0))


def test_a_network_of_steps_is_trained_and_sampled_at_them_alone():
    seen = []

    def network(x, t):
        assert t.dtype == torch.int64
        seen.append(t)
        return x

    table = process.schedule("linear", 20)
    denoiser, x0 = process.Denoiser(network, "eps", process.ByStep(table)), torch.ones(20, 2)
    process.loss(denoiser, x0, levels=process.UniformSteps(table))
    assert sorted(seen.pop().tolist()) == list(range(20))
    settings = process.SamplerSettings("ancestral", 20, spacing="t")
    process.sample(denoiser, (1, 2), settings=settings, table=table)
    assert torch.cat(seen).tolist() == list(range(19, -1, -1))
    with pytest.raises(UserError, match="UniformSteps"):
        process.loss(denoiser, x0)


def test_a_sampler_of_ones_own():
    class Euler(process.Sampler):
        def step(self, visits, clearer, noise):
            now = visits[-1]
            return torch.sigmoid(clearer).sqrt() * now.x0 + torch.sigmoid(-clearer).sqrt() * now.noise

    denoiser = process.Denoiser(Linear(), "v")
    settings, noise = process.SamplerSettings("ddim"), torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    levels = process.levels_for(settings, process.TABLE)
    with torch.inference_mode():
        x, same = (each(denoiser, noise, levels, None) for each in (Euler(), process.sampler(settings)))
    torch.testing.assert_close(x, same)


@pytest.mark.parametrize("name", process.SAMPLERS)
def test_every_sampler_arrives_at_the_point_of_each_label(name):
    points = torch.tensor([[1.0, -0.5], [-1.5, 0.3]])
    label = torch.tensor([0, 1, 1])
    settings = process.SamplerSettings(sampler=name, sampling_steps=6, spacing="logsnr")
    visits = []
    denoiser = process.Denoiser(Ideal(points), "v")
    x = process.sample(denoiser, (3, 2), label, settings, seed=3, callback=visits.append)
    assert torch.allclose(x, points[label], atol=1e-4)
    assert len(visits) == 6


def test_samples_repeat_by_seed_and_follow_a_given_schedule():
    denoiser = process.Denoiser(Linear(), "v")
    one, same, other = (process.sample(denoiser, (4, 2), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    table = process.schedule("linear", 100)
    seen = []
    settings = process.SamplerSettings("ddim", 4, spacing="t")
    process.sample(denoiser, (1, 2), settings=settings, table=table, callback=lambda visit: seen.append(visit.logsnr))
    assert seen == [table.logsnr[t] for t in (100, 75, 50, 25)]
    with pytest.raises(UserError, match="at least 1 step"):
        process.sample(denoiser, (1, 2), settings=process.SamplerSettings("ddim", 0))


def test_a_jump_has_the_moments_of_its_level():
    x0, noise = torch.full((20_000, 1), 2.0), torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    x = process.jump(x0, noise, torch.tensor([0.0], dtype=torch.float64))
    assert x.mean().item() == pytest.approx(2 * math.sqrt(0.5), abs=0.02)
    assert x.std().item() == pytest.approx(math.sqrt(0.5), abs=0.02)


def test_all_of_the_surface_is_there_and_documented():
    for name in process.__all__:
        assert hasattr(process, name)
        assert name.isupper() or getattr(process, name).__doc__
    listed = re.findall(r"members: \[(.*)\]", (EXAMPLES.parent / "docs" / "process.md").read_text())
    assert {name for names in listed for name in names.split(", ")} <= set(process.__all__)


def test_the_example_learns_and_draws(tmp_path):
    spec = importlib.util.spec_from_file_location("own_network", EXAMPLES / "own_network.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    losses = example.main(steps=40, out=tmp_path / "digits.png")
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert (tmp_path / "digits.png").stat().st_size > 1000
