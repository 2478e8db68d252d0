"""The probability-flow ODE: diffusion without noise, along which data and noise map one to one (Song et al. 2021).

In λ it reads dx/dλ = ½(b²·x − b·ε̂(x, λ)). Its change of volume gives log p(x) near-exactly, which the chapter
calls intractable; walking it encodes data as noise and decodes it again. SciPy's adaptive Runge–Kutta solver walks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.integrate import solve_ivp
from torch import Tensor

from fromnoise.diffusion import forward, level
from fromnoise.diffusion.bound import PIXEL, Bound, log_density
from fromnoise.diffusion.steps import Denoise

ZERO = torch.zeros((), dtype=torch.float64)
Moving = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def velocity(denoise: Denoise, x: Float[Tensor, "n *d"], logsnr: Float64[Tensor, ""]) -> Float[Tensor, "n *d"]:
    """dx/dλ at the level λ."""
    b = level.expand(level.noise_scale(logsnr), x)
    return (b * b * x - b * denoise(x, logsnr)[1]) / 2


@dataclass(frozen=True)
class Flow:
    """The ODE between the clearest and the noisiest level, both finite.

    tolerance   of the solver, relative and absolute; it sets one step for all rows of a batch
    """

    clearest: float
    noisiest: float
    tolerance: float = 1e-5

    def encode(self, denoise: Denoise, x: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
        """The noise behind data at the clearest level, x = a·x_0."""
        return self._walk(_untraced(denoise), x, self.clearest, self.noisiest)[0]

    def decode(self, denoise: Denoise, z: Float[Tensor, "n *d"]) -> Float[Tensor, "n *d"]:
        """The data at the clearest level that noise z becomes: the inverse of `encode`."""
        return self._walk(_untraced(denoise), z, self.noisiest, self.clearest)[0]

    def log_prob(
        self, denoise: Denoise, x: Float[Tensor, "n *d"], probes: Float[Tensor, "k n *d"]
    ) -> Float64[Tensor, " n"]:
        """log p(x) of data x at the clearest level, in nats: log N(z; 0, I) of its noise z and the change of volume.

        The trace of the Jacobian is Hutchinson's: the mean of vᵀJv over the `probes` v (numbers ±1, for one), unbiased.
        """

        def derivatives(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                speed = velocity(denoise, x, at)
                return speed.detach(), _trace(speed, x, probes)

        z, volume = self._walk(derivatives, x, self.clearest, self.noisiest)
        return log_density(z.cpu().double(), ZERO, 1.0).flatten(1).sum(dim=1) + volume

    def negative_log_likelihood(
        self,
        denoise: Denoise,
        x0: Float[Tensor, "n *d"],
        noise: Float[Tensor, "n *d"],
        probes: Float[Tensor, "k n *d"],
        pixel: float | None = PIXEL,
    ) -> Float64[Tensor, " n"]:
        """−log p(x_0) in nats: −log p(x_1) by the flow, with the bound's first and last words for the step to x_0.

        −log p(x_0|x_1) + log q(x_1|x_0) − log p(x_1), at x_1 made of the given noise: in the mean over the noise
        an upper bound, short of exact only by what p(x_0|x_1) lacks at the clearest level. `pixel` is `Bound`'s.
        """
        ends = torch.tensor([self.clearest, self.noisiest], dtype=torch.float64)
        decoder = Bound(ends, pixel).decoder(denoise, x0, noise)
        sigma = level.noise_scale(ends[0]).item()
        made = log_density(noise.cpu().double() * sigma, ZERO, sigma).flatten(1).sum(dim=1)
        return decoder + made - self.log_prob(denoise, forward.jump(x0, noise, ends[:1]), probes)

    def _walk(self, moving: Moving, x: Tensor, start: float, end: float) -> tuple[Tensor, Float64[Tensor, " n"]]:
        """x carried from level `start` to `end`, and the integral of the trace; `moving` gives both derivatives."""
        shape, size = x.shape, x.numel()

        def right(at: float, state: np.ndarray) -> np.ndarray:
            now = torch.from_numpy(state[:size]).to(x.dtype).to(x.device).reshape(shape)
            speed, trace = moving(now, torch.tensor(at, dtype=torch.float64))
            return torch.cat([speed.detach().cpu().double().flatten(), trace]).numpy()

        begin = np.concatenate([x.detach().cpu().double().flatten().numpy(), np.zeros(len(x))])
        solved = solve_ivp(right, (start, end), begin, rtol=self.tolerance, atol=self.tolerance, t_eval=[end])
        if not solved.success:
            raise ArithmeticError(f"the probability-flow ODE could not be integrated: {solved.message}")
        last = torch.from_numpy(solved.y[:, -1].copy())
        return last[:size].to(x.dtype).to(x.device).reshape(shape), last[size:]


def slerp(one: Float[Tensor, "*d"], other: Float[Tensor, "*d"], weight: float) -> Float[Tensor, "*d"]:
    """Between two draws of N(0, I) along the sphere they lie near, so that every point between is as long as they."""
    cosine = (one * other).sum() / (one.norm() * other.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < 1e-6:
        return torch.lerp(one, other, weight)
    return (torch.sin((1 - weight) * angle) * one + torch.sin(weight * angle) * other) / torch.sin(angle)


def _untraced(denoise: Denoise) -> Moving:
    return lambda x, at: (velocity(denoise, x, at), torch.zeros(len(x), dtype=torch.float64))


def _trace(speed: Tensor, x: Tensor, probes: Tensor) -> Float64[Tensor, " n"]:
    total = torch.zeros(len(x), dtype=torch.float64)
    for probe in probes:
        (pulled,) = torch.autograd.grad(speed, x, probe, retain_graph=True)
        total += (pulled * probe).cpu().double().flatten(1).sum(dim=1)
    return total / len(probes)
