"""The oracle of conditional samplers, and how near to it ours come."""

import pytest
import torch

from benchmarks import conditional
from benchmarks.conditional import KNOWN, METHODS, digits, drawn_exactly, error, mixture, posterior, shares_error, upper
from fromnoise.faces.cli import script
from fromnoise.generation.edit import Edit, inpaint
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged


def test_the_exact_conditional_is_that_of_the_precision_matrix():
    data = mixture(1)
    project, value = KNOWN["half"], conditional.known_values(data, KNOWN["half"], 1)[0]
    _, mean, covariance = posterior(data, project, value)
    precision = torch.linalg.inv(data.covariances[0])[8:, 8:]
    cross = torch.linalg.inv(data.covariances[0])[8:, :8]
    wanted = data.means[0, 8:] - torch.linalg.inv(precision) @ cross @ (value[:8] - data.means[0, :8])
    torch.testing.assert_close(mean[0, 8:], wanted)
    torch.testing.assert_close(covariance[0, 8:, 8:], torch.linalg.inv(precision))
    torch.testing.assert_close(mean[0, :8], value[:8])


@pytest.mark.parametrize("part", KNOWN)
def test_the_exact_conditional_of_a_mixture_keeps_to_what_is_known_and_weighs_by_bayes(part):
    """Among draws of the data, those whose known part comes near a value have the posterior's shares."""
    data, project = mixture(3), KNOWN[part]
    random = torch.Generator().manual_seed(1)
    j = torch.multinomial(data.weights, 300_000, replacement=True, generator=random)
    noise = torch.randn(len(j), 16, 1, dtype=torch.float64, generator=random)
    x = data.means[j] + (data.cholesky[j] @ noise).squeeze(2)
    seen = project(x.reshape(-1, 1, 4, 4)).flatten(1)
    value = seen[0]
    draws = drawn_exactly(data, project, value, 1000)
    torch.testing.assert_close(project(draws.reshape(-1, 1, 4, 4)).flatten(1), value.expand(1000, 16))
    near = j[(seen - value).square().sum(1).topk(300, largest=False).indices]
    shares = torch.bincount(near, minlength=3) / 300
    torch.testing.assert_close(shares.double(), posterior(data, project, value)[0], rtol=0, atol=0.1)


@pytest.mark.parametrize("part", KNOWN)
@pytest.mark.parametrize("components", [1, 3])
def test_samples_come_near_the_exact_conditional(components, part):
    data, project = mixture(components), KNOWN[part]
    values = conditional.known_values(data, project, 2)
    ours, theirs = (
        conditional.sampled(data, project, values, 500, METHODS[name], 20) for name in ("3 solves", "replacement")
    )
    for value, good, poor in zip(values, ours, theirs, strict=True):
        assert error(good, data, project, value) < 0.15
        assert error(good, data, project, value) < error(poor, data, project, value)
        assert shares_error(good, data, project, value) < 0.15


def test_exact_draws_have_hardly_any_error():
    data, project = mixture(3), KNOWN["half"]
    (value,) = conditional.known_values(data, project, 1)
    draws = drawn_exactly(data, project, value, 2000)
    assert error(draws, data, project, value) < 0.02
    assert error(draws + 0.3, data, project, value) > 0.05


def test_the_command_prints_a_row_for_each_method(monkeypatch, capsys):
    monkeypatch.setattr(
        "sys.argv", ["conditional", "--n", "20", "--conditionals", "1", "--digits", "0", "--steps", "3"]
    )
    with pytest.raises(SystemExit) as stopped:
        script(conditional.main, conditional.Settings, None)
    assert not stopped.value.code
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 3 + len(METHODS)
    assert len({row.count("|") for row in rows}) == 1


@pytest.mark.slow
def test_completed_digits_are_read_as_they_were():
    model, images = Model.load(packaged("digits")), digits(50)
    known = upper(model)
    blank = conditional.read_rightly(images.images * known, images)
    filled = conditional.read_rightly(inpaint(model, images.images, ~known, Edit()), images)
    assert filled > 0.65
    assert filled > blank + 0.3
