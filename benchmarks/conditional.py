"""How near to the exact conditional are samples of data of which a part is known? Are completed digits read rightly?

    python -m benchmarks.conditional                 (a few minutes on one core)

Exact: images of 4×4 numbers from a Gaussian and from a mixture of three, whose ideal denoisers and conditionals are
known. Known of them are the upper half, or the means of 2×2. Digits: the lower halves of held-out digits are filled in
by the packaged model, and the digit classifier reads the result.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import torch
from jaxtyping import Bool, Float64
from rich.console import Console
from torch import Tensor

from fromnoise import rng
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.diffusion import conditional, forward, ideal, level
from fromnoise.diffusion.conditional import Known, Projection
from fromnoise.diffusion.samplers import levels_for, start
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import Ancestral, Denoise, DPMSolver2M, Noise, Sampler, StochasticDPMSolver2M, Visit
from fromnoise.evaluation import digit_network
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.experiment.find import find_model
from fromnoise.faces.cli import script
from fromnoise.generation.likelihood import labelled
from fromnoise.generation.model import Model
from fromnoise.probability.gaussian import Gaussian
from fromnoise.probability.mixture import Mixture

SIDE = 4
UPPER = torch.arange(SIDE * SIDE).reshape(SIDE, SIDE) < SIDE * SIDE // 2
KNOWN: Mapping[str, Projection] = {"half": conditional.pixels(UPPER), "means": conditional.means}
TABLE = schedule("cosine", 1000)
Method = Callable[[Denoise, Known, Tensor, Tensor, Noise], Tensor]
"""(denoiser, what is known, start, levels, noise of step k) → samples."""


@dataclass(frozen=True)
class Settings:
    """Measure."""

    n: int = 2000
    """Samples of each conditional."""
    conditionals: int = 4
    """Conditionals of each distribution."""
    steps: tuple[int, ...] = (20, 40)
    """Network calls of a sample."""
    digits: int = 200
    """Digits to complete, in the first of these numbers of calls; 0 for none."""


def mixture(components: int) -> Mixture:
    """A distribution of smooth images of 4×4 numbers, of about unit scale; what is known leaves the component open."""
    random = torch.Generator().manual_seed(components)
    places = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
    apart = torch.cdist(places, places)
    scale = 0.9 if components == 1 else 0.3
    reach = torch.tensor([2.0, 1.0, 3.0][:components], dtype=torch.float64)
    covariances = scale * torch.exp(-apart / reach[:, None, None]) + 0.01 * torch.eye(SIDE**2).double()
    smooth = torch.linalg.cholesky(torch.exp(-apart / 3) + 1e-6 * torch.eye(SIDE**2).double())
    means = 0.3 * torch.randn(components, SIDE**2, generator=random, dtype=torch.float64) @ smooth.T
    fine = (-1.0) ** places.sum(1) * (places[:, 0] >= SIDE // 2)  # what no known part shows
    means = means + torch.linspace(-1, 1, 3, dtype=torch.float64)[:components, None] * fine
    weights = torch.tensor([0.5, 0.3, 0.2][:components], dtype=torch.float64)
    return Mixture(weights / weights.sum(), means, covariances)


def posterior(
    data: Mixture, project: Projection, value: Float64[Tensor, " d"]
) -> tuple[Float64[Tensor, " k"], Float64[Tensor, "k d"], Float64[Tensor, "k d d"]]:
    """Weights, means and (singular) covariances of x_0 given P·x_0 = value, by Gaussian conditioning."""
    d = data.dimension
    matrix = project(torch.eye(d, dtype=torch.float64).reshape(d, 1, SIDE, SIDE)).reshape(d, d)
    values, vectors = torch.linalg.eigh(matrix)
    seen = vectors[:, values > 0.5].T
    within = seen @ data.covariances @ seen.T
    gain = data.covariances @ seen.T @ torch.linalg.inv(within)
    off = (value - data.means) @ seen.T
    each = [Gaussian(mean, one) for mean, one in zip(data.means @ seen.T, (within + within.mT) / 2, strict=True)]
    log_joint = data.weights.log() + torch.stack([one.log_prob(seen @ value) for one in each])
    means = data.means + (gain @ off[..., None]).squeeze(2)
    return log_joint.softmax(0), means, data.covariances - gain @ seen @ data.covariances


def error(samples: Float64[Tensor, "n d"], data: Mixture, project: Projection, value: Float64[Tensor, " d"]) -> float:
    """The Fréchet distance of samples to the exact conditional, as a share of the conditional's variance."""
    weights, means, covariances = posterior(data, project, value)
    mean = weights @ means
    off = means - mean
    covariance = torch.einsum("k,kij->ij", weights, covariances) + off.T @ (weights[:, None] * off)
    exact = Moments(mean, (covariance + covariance.T) / 2, len(samples))
    return distance(Moments.of(samples), exact) / float(covariance.trace())


def shares_error(
    samples: Float64[Tensor, "n d"], data: Mixture, project: Projection, value: Float64[Tensor, " d"]
) -> float:
    """The total variation between the components' shares of the samples and of the exact conditional."""
    log_joint = data.distribution.component_distribution.log_prob(samples[:, None]) + data.weights.log()
    return float((log_joint.softmax(1).mean(0) - posterior(data, project, value)[0]).abs().sum() / 2)


def drawn_exactly(data: Mixture, project: Projection, value: Float64[Tensor, " d"], n: int) -> Float64[Tensor, "n d"]:
    """n draws of the exact conditional."""
    random = torch.Generator().manual_seed(0)
    weights, means, covariances = posterior(data, project, value)
    j = torch.multinomial(weights, n, replacement=True, generator=random)
    variances, axes = torch.linalg.eigh(covariances)
    noise = torch.randn(n, data.dimension, 1, generator=random, dtype=torch.float64)
    return means[j] + ((axes * variances.clamp(min=0).sqrt()[:, None])[j] @ noise).squeeze(2)


def walk(denoise: Denoise, x: Tensor, levels: Tensor, repeats: int, known: Known | None = None) -> Tensor:
    """Ancestral steps, each taken back and repeated; what is `known` is replaced at each by itself with noise.

    With repeats the levels are so much fewer, for the same number of network calls.
    """

    def draw(name: str, repeat: int, k: int) -> Tensor:
        return rng.normal(tuple(x.shape), 1, name, repeat, k).to(x.dtype)

    levels = torch.cat([levels[:-1][::repeats], levels[-1:]])
    for k, (noisier, clearer) in enumerate(pairwise(levels)):
        for repeat in range(repeats):
            visit = Visit(k, len(levels) - 1, noisier, x, *denoise(x, noisier))
            x = Ancestral().step([visit], clearer, partial(draw, "step", repeat))
            if known:
                part = forward.jump(known.value, draw("known", repeat, k), clearer[None])
                x = x + known.project(part - x)
            if repeat < repeats - 1:
                kept, added = level.alpha_between(clearer, noisier), level.variance_between(clearer, noisier)
                x = level.expand(kept.sqrt(), x) * x + level.expand(added.sqrt(), x) * draw("back", repeat, k)
    return x


def replaced(repeats: int = 1) -> Method:
    """What is known replaced at each level, and nothing else (RePaint, Lugmayr et al. 2022)."""
    return lambda denoise, known, x, levels, noise: walk(denoise, x, levels, repeats, known)


def repeated(solves: int, repeats: int) -> Method:
    """`conditional.given`, with each step repeated."""
    return lambda denoise, known, x, levels, noise: walk(conditional.given(denoise, known, solves), x, levels, repeats)


def guided_by_gradient(denoise: Denoise, known: Known, x: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """ΠGDM (Song et al. 2023): x̂_0 moved by its gradient, as if its errors were b²·I (unit data)."""

    def guide(x: Tensor, logsnr: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            guess = denoise(x, logsnr)[0]
            missing = known.value - known.project(guess.detach())
            (pulled,) = torch.autograd.grad(guess, x, missing)
        a, b = level.scales(logsnr, x)
        x0 = guess.detach() + pulled / a
        return x0, (x.detach() - a * x0) / b

    x = Ancestral()(guide, x, levels, noise)
    return x - known.project(x) + known.value


def solved(solves: int, sampler: type[Sampler] = StochasticDPMSolver2M) -> Method:
    """`conditional.given` with so many steps of conjugate gradients."""

    def run(denoise: Denoise, known: Known, x: Tensor, levels: Tensor, noise: Noise) -> Tensor:
        return sampler()(conditional.given(denoise, known, solves), x, levels, noise)

    return run


METHODS: Mapping[str, Method] = {
    "replacement": replaced(),
    "RePaint, 5 repeats": replaced(5),
    "DDNM": solved(0),
    "ΠGDM": guided_by_gradient,
    "1 solve": solved(1),
    "3 solves": solved(3),
    "8 solves": solved(8),
    "3 solves, dpm++": solved(3, DPMSolver2M),
    "3 solves, ancestral": solved(3, Ancestral),
    "3 solves, ancestral, 2 repeats": repeated(3, 2),
}
FOR_DIGITS = ("RePaint, 5 repeats", "DDNM", "ΠGDM", "3 solves")


def sampled(
    data: Mixture, project: Projection, values: Float64[Tensor, "v d"], n: int, method: Method, steps: int
) -> Float64[Tensor, "v n d"]:
    """n samples for each known value, by the ideal denoiser in `steps` network calls."""
    flat = ideal.of_mixture(data.weights, data.means, data.covariances)
    shape = (len(values) * n, 1, SIDE, SIDE)

    def denoise(x: Tensor, logsnr: Tensor) -> tuple[Tensor, Tensor]:
        x0, eps = flat(x.flatten(1), logsnr)
        return x0.reshape(x.shape), eps.reshape(x.shape)

    def noise(k: int | str) -> Tensor:
        return rng.normal(shape, 0, "conditional", k).double()

    settings = SamplerSettings(sampling_steps=steps)
    levels = levels_for(settings, TABLE)
    known = Known(project, values.repeat_interleave(n, 0).reshape(shape))
    with torch.no_grad():
        x = method(denoise, known, start(settings, levels[0], noise("start"), (0.0,)), levels, noise)
    return x.reshape(len(values), n, -1)


def known_values(data: Mixture, project: Projection, n: int) -> Float64[Tensor, "n d"]:
    """What is known of n draws of the data."""
    draws = data.sample(n, torch.Generator().manual_seed(7))
    return project(draws.reshape(n, 1, SIDE, SIDE)).flatten(1)


def digits(n: int) -> ImageSet:
    """Held-out digits, as many of each class, as the packaged model has them."""
    return sources.load("digits:heldout", (32, 32)).subset(n, 0)


def read_rightly(images: Tensor, of: ImageSet) -> float:
    """The share of images that the digit classifier reads as the digits that they were."""
    assert of.labels is not None
    with torch.no_grad():
        read = digit_network.packaged()(normalise(images)).argmax(1)
    return float((read == of.labels).double().mean())


def upper(model: Model) -> Bool[Tensor, "h w"]:
    """Where the upper half of the model's images is."""
    return (torch.arange(model.info.height) < model.info.height // 2)[:, None].expand(model.info.image[1:])


def completed(model: Model, images: ImageSet, method: Method, steps: int) -> Tensor:
    """The images with their lower halves made by the model from the upper ones, 8-bit."""
    info, known = model.info, upper(model)
    settings = SamplerSettings(sampling_steps=steps)
    levels, project = levels_for(settings, model.table), conditional.pixels(known)
    parts = []
    for first in range(0, len(images), 50):
        x0 = info.encode(images.images[first : first + 50])

        def noise(k: int | str, first: int = first, shape: torch.Size = x0.shape) -> Tensor:
            return rng.normal(tuple(shape), 0, "completed", first, k)

        with torch.no_grad():
            begin = start(settings, levels[0], noise("start"), info.encoded_mean)
            found = method(labelled(model), Known(project, project(x0)), begin, levels, noise)
        parts.append(torch.where(known, images.images[first : first + 50], info.decode(found)))
    return torch.cat(parts)


def say(*cells: str) -> None:
    """Print a line of a Markdown table."""
    Console(highlight=False, width=500).print("| " + " | ".join(cells) + " |", markup=False)


def main(settings: Settings) -> None:
    """Print the table of the exact conditionals, then the table of the digits."""
    cases = [(name, part, mixture(k), KNOWN[part]) for name, k in (("Gaussian", 1), ("mixture", 3)) for part in KNOWN]
    values = [known_values(data, project, settings.conditionals) for _, _, data, project in cases]

    def errors(draw: Callable[[Mixture, Projection, Tensor], Tensor]) -> Iterator[str]:
        for (_, _, data, project), given in zip(cases, values, strict=True):
            draws = list(zip(draw(data, project, given), given, strict=True))
            far = statistics.mean(error(x, data, project, value) for x, value in draws)
            shares = statistics.mean(shares_error(x, data, project, value) for x, value in draws)
            yield f"{far:.4f}" + (f" ({shares:.3f})" if len(data.weights) > 1 else "")

    def exactly(data: Mixture, project: Projection, given: Tensor) -> Tensor:
        return torch.stack([drawn_exactly(data, project, value, settings.n) for value in given])

    say("method", "calls", *(f"{name}, {part}" for name, part, *_ in cases))
    say(*["---"] * (2 + len(cases)))
    say("exact draws", "", *errors(exactly))
    for (name, method), steps in product(METHODS.items(), settings.steps):
        say(name, str(steps), *errors(partial(sampled, n=settings.n, method=method, steps=steps)))
    if not settings.digits:
        return
    model, images = Model.load(find_model(Path("digits"))), digits(settings.digits)
    say("lower halves of digits", "read as they were", "seconds")
    say("---", "---", "---")
    say("the digits themselves", f"{read_rightly(images.images, images):.3f}", "")
    say("left blank", f"{read_rightly(images.images * upper(model), images):.3f}", "")
    for name in FOR_DIGITS:
        begun = time.perf_counter()
        filled = completed(model, images, METHODS[name], settings.steps[0])
        say(name, f"{read_rightly(filled, images):.3f}", f"{time.perf_counter() - begun:.0f}")


if __name__ == "__main__":
    script(main, Settings, __doc__)
