"""The samplers: from noise to data along a list of levels, one loop for all and a class for each step.

Deterministic ones follow the probability-flow ODE, in one of two forms (σ = b/a is the noise-to-signal ratio):

    d(x/a)/dσ = ε̂                      ddim at η = 0, heun, ipndm
    d(x/b)/dλ' = (a/b)·x̂_0, λ' = λ/2    dpm++, dpm++3m, unipc; h is a step in λ', log(a/b), as in their papers

Only unipc's corrector takes differences across pure noise (λ = −∞). Every sampler ends on the last x̂_0.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from fromnoise.diffusion import backward, level
from fromnoise.errors import UserError
from fromnoise.lookup import lookup

IPNDM_WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
MEMORY = 4  # visits that a step may look at


@dataclass(frozen=True)
class Visit:
    """Network call k, for callbacks: x_t, its level λ, and the denoiser's (x̂_0, ε̂)."""

    k: int
    steps: int
    logsnr: Float64[Tensor, ""]
    x: Float[Tensor, "n *d"]
    x0: Float[Tensor, "n *d"]
    noise: Float[Tensor, "n *d"]


Denoise = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Callback = Callable[[Visit], None]
Noise = Callable[[int], Tensor]


class Sampler(ABC):
    """The loop of all samplers: a subclass is one step, and says how often a level is visited."""

    def visits(self, calls: int) -> list[int]:
        """How often each level is visited, the noisiest first, where the network is called `calls` times in all."""
        return [1] * calls

    @abstractmethod
    def step(self, visits: Sequence[Visit], clearer: Float64[Tensor, ""], noise: Noise) -> Float[Tensor, "n *d"]:
        """The next x, at the level `clearer`, from the newest visits (at most `MEMORY`, the present one last)."""

    def __call__(
        self,
        denoise: Denoise,
        x: Float[Tensor, "n *d"],
        levels: Float64[Tensor, " steps1"],
        noise: Noise,
        callback: Callback | None = None,
    ) -> Float[Tensor, "n *d"]:
        """Runs the sampler and returns the data at the clean level.

        denoise    (x, λ) → (x̂_0, ε̂), a `Denoiser` with its label bound
        x          the start at levels[0] (see `samplers.start`)
        levels     λ from noisiest to clean: float64, ends in +∞ (see `samplers.levels_for`)
        noise      k → standard normal numbers like x for step k; deterministic samplers never call it
        callback   called after each call of `denoise`, before its step
        """
        visits: deque[Visit] = deque(maxlen=MEMORY)
        for k, (noisier, clearer) in enumerate(pairwise(levels)):
            x0, eps = denoise(x, noisier)
            visits.append(Visit(k, len(levels) - 1, noisier, x, x0, eps))
            if callback:
                callback(visits[-1])
            x = self.step(tuple(visits), clearer, noise)
        return x


@dataclass(frozen=True)
class Ancestral(Sampler):
    """x_s ~ N(μ_q(x_t, x̂_0), σ²), σ² the `posterior` variance (30) or the `forward` one; no noise at the last step.

    (Ho et al. 2020, algorithm 2.) Raises UserError for another variance.
    """

    variance: str = "posterior"

    def __post_init__(self) -> None:
        lookup("variance", self.variance, backward.VARIANCES)

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now = visits[-1]
        mean = backward.posterior_mean(now.x, now.x0, clearer, now.logsnr)
        if clearer == level.CLEAN:
            return mean
        sigma = backward.VARIANCES[self.variance](clearer, now.logsnr).sqrt()
        return mean + level.expand(sigma, mean) * noise(now.k)


@dataclass(frozen=True)
class DDIM(Sampler):
    """x_s = a_s·x̂_0 + √(b_s² − σ²)·ε̂ + σ·z with σ = η·σ_q (Song et al. 2020, eq. 12): η = 0 is deterministic.

    Raises UserError for an η outside 0…1.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must lie between 0 and 1, not {self.eta}")

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now = visits[-1]
        sigma2 = self.eta**2 * backward.posterior_variance(clearer, now.logsnr)
        along = (level.noise_scale(clearer) ** 2 - sigma2).clamp(min=0).sqrt()
        x = level.expand(level.signal(clearer), now.x) * now.x0 + level.expand(along, now.x) * now.noise
        return x + level.expand(sigma2.sqrt(), x) * noise(now.k) if sigma2 > 0 else x


class Heun(Sampler):
    """Heun's method in σ (Karras et al. 2022, algorithm 1): a DDIM step, a second call at its end, the mean slope.

    Every level but the first is visited twice: the first call there corrects the step that led to it, the second
    goes on from it. With an even number of calls the second level, too, is visited once: the first step is DDIM's.
    """

    def visits(self, calls: int) -> list[int]:
        once = 2 - calls % 2
        return [1] * once + [2] * ((calls - once) // 2)

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now = visits[-1]
        if clearer != now.logsnr:
            return DDIM().step(visits, clearer, noise)
        before = visits[-2]
        if before.logsnr == level.NOISE:
            return now.x
        return now.x + level.expand(_slope(before, now.logsnr) / 2, now.x) * (now.noise - before.noise)


class IPNDM(Sampler):
    """iPNDM (Liu et al. 2022; Zhang & Chen 2023): DDIM's step along Adams and Bashforth's mix of the last four ε̂.

    Fewer at the start. The weights are those of equal steps in σ, as in the papers, whatever the levels: of fourth
    order there, of second elsewhere.
    """

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now, known = visits[-1], _known(visits)
        x = DDIM().step(visits, clearer, noise)
        if clearer == level.CLEAN or not known:
            return x
        weights = IPNDM_WEIGHTS[len(known)]
        turn = sum(weight * (past.noise - now.noise) for weight, past in zip(weights[1:], known, strict=True))
        return x + level.expand(_slope(now, clearer), x) * turn


class DPMSolver2M(Sampler):
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): x̂_0 taken on to the middle of the step by the one before."""

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now = _ahead(visits, clearer)
        return _hold(now, clearer, now.x, now.x0)


class StochasticDPMSolver2M(Sampler):
    """SDE-DPM-Solver++(2M) (Lu et al. 2022): `Ancestral` with 2M's x̂_0, so that few steps keep more of the variance."""

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        return Ancestral().step([_ahead(visits, clearer)], clearer, noise)


class DPMSolver3M(DPMSolver2M):
    """DPM-Solver++(3M) (Lu et al. 2022): x̂_0 with its two divided differences over the step, 2M until they are known.

    As its authors' code has it: the second difference counts half as much as in Taylor's series, so that the order
    of convergence is two, with a smaller constant than 2M's.
    """

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now, known = visits[-1], _known(visits)
        if len(known) < 2 or clearer == level.CLEAN:
            return super().step(visits, clearer, noise)
        h = (clearer - now.logsnr) / 2
        r0, r1 = ((one.logsnr - other.logsnr) / 2 / h for one, other in zip((now, *known), known[:2], strict=False))
        newer = (now.x0 - known[0].x0) / level.expand(r0, now.x)
        older = (known[0].x0 - known[1].x0) / level.expand(r1, now.x)
        second = (newer - older) / level.expand(r0 + r1, now.x)
        first = newer + level.expand(r0, now.x) * second
        phi2 = torch.expm1(-h) / h + 1
        phi3 = phi2 / h - 0.5
        a = level.signal(clearer)
        x = _hold(now, clearer, now.x, now.x0) + level.expand(a * phi2, first) * first
        return x - level.expand(a * phi3, second) * second


class UniPC(Sampler):
    """UniPC-3 with B₂ (Zhao et al. 2023): the network call at a step's end also corrects that step, at no further cost.

    The predictor's order rises from 1 at the start to 3 and falls to 1 at the end; the corrector adds one.
    """

    def step(self, visits: Sequence[Visit], clearer: Tensor, noise: Noise) -> Tensor:
        now, x = visits[-1], visits[-1].x
        if len(visits) > 1:
            before, past = visits[-2], self._points(visits[:-1])
            change = self._tilt(before, now.logsnr, [*past, now]) - self._tilt(before, now.logsnr, past)
            x = x + level.expand(_gain(before, now.logsnr), x) * change
        return _hold(now, clearer, x, now.x0 + self._tilt(now, clearer, self._points(visits)))

    @staticmethod
    def _points(visits: Sequence[Visit]) -> list[Visit]:
        """The earlier visits that the step's order takes in."""
        now = visits[-1]
        return _known(visits)[: min(2, now.steps - now.k - 1)]

    @staticmethod
    def _tilt(now: Visit, clearer: Tensor, points: Sequence[Visit]) -> Tensor | float:
        """What the points add to x̂_0, held constant over the step, to make up for its change."""
        if not points:
            return 0.0
        h = (clearer - now.logsnr) / 2
        r = torch.stack(
            [torch.ones_like(h) if p.logsnr == clearer else (p.logsnr - now.logsnr) / 2 / h for p in points]
        )
        weights = _moments(h, r) if len(r) > 1 else torch.full((1,), 0.5, dtype=torch.float64)
        terms = zip(weights / r, points, strict=True)
        return sum(level.expand(weight, now.x) * (p.x0 - now.x0) for weight, p in terms)


def _known(visits: Sequence[Visit]) -> list[Visit]:
    """The earlier visits that the present one can be compared with, newest first: all but the one at pure noise."""
    return [visit for visit in reversed(visits[:-1]) if visit.logsnr > level.NOISE]


def _ahead(visits: Sequence[Visit], clearer: Float64[Tensor, ""]) -> Visit:
    """The newest visit with its x̂_0 taken on to the middle of the step by the one before."""
    now, known = visits[-1], _known(visits)
    if not known or clearer == level.CLEAN:
        return now
    r = (now.logsnr - known[0].logsnr) / (clearer - now.logsnr)
    return replace(now, x0=now.x0 + (now.x0 - known[0].x0) / level.expand(2 * r, now.x0))


def _slope(now: Visit, clearer: Float64[Tensor, ""]) -> Float64[Tensor, ""]:
    """a_s·(σ_s − σ_t): how far x_s goes along ε̂."""
    return level.signal(clearer) * (torch.exp(-clearer / 2) - torch.exp(-now.logsnr / 2))


def _gain(now: Visit, clearer: Float64[Tensor, ""]) -> Float64[Tensor, ""]:
    """a_s·(1 − e^−h): how far x_s goes towards x̂_0; h is infinite at both ends."""
    return -level.signal(clearer) * torch.expm1((now.logsnr - clearer) / 2)


def _hold(now: Visit, clearer: Tensor, x: Tensor, x0: Tensor) -> Tensor:
    """x_s from x if x̂_0 stays the same over the step."""
    of_x = level.noise_scale(clearer) / level.noise_scale(now.logsnr)
    return level.expand(of_x, x) * x + level.expand(_gain(now, clearer), x) * x0


def _moments(h: Float64[Tensor, ""], r: Float64[Tensor, " p"]) -> Float64[Tensor, " p"]:
    """ρ for points at r steps from the present: Σ ρ_j·r_j^(i−1) = i!·h·φ_(i+1)(−h)/B, i = 1…p (Zhao et al., eq. 11)."""
    phi, wanted = torch.expm1(-h), []
    for i in range(1, len(r) + 1):
        phi = phi / -h - 1 / math.factorial(i)
        wanted.append(phi * math.factorial(i) / torch.expm1(-h))
    powers = torch.stack([r**i for i in range(len(r))])
    return torch.linalg.solve(powers, torch.stack(wanted))
