"""Learning a set of points and sampling new ones, by the process, objective and samplers that images go through."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fromnoise import rng
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.objective import LogNormal, Objective, stratified
from fromnoise.diffusion.samplers import levels_for, sampler
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import DiffusionSettings, SamplerSettings
from fromnoise.diffusion.steps import Denoise
from fromnoise.networks.mlp import MLP

PROCESS = DiffusionSettings(lognormal=(1.0, 2.4))  # v-prediction, log-normal levels: as for images, with less noise
SAMPLER = SamplerSettings(sampling_steps=20, logsnr_range=(-9, 10))  # points cost next to nothing

# Chosen by the error of the learned score of `sets.MIXTURE`, and by the share of sampled points between the parts of
# the other sets, at a given time of one core.
STEPS, QUICK_STEPS = 2500, 600
BATCH = 1024
RATE, WARMUP = 1e-2, 50  # the learning rate: a rise, then a linear fall to zero at the last step
AVERAGED = 10  # the weights are averaged over about the last 1/10 of the steps, with less and less weight backwards


def learn(
    points: Float[Tensor, "m 2"],
    steps: int = STEPS,
    batch: int = BATCH,
    seed: int = 0,
    callback: Callable[[int, float], None] | None = None,
) -> Denoiser:
    """An `MLP` trained on points of about unit deviation, by Adam, with averaged weights, as their denoiser.

    `callback` gets the number of the step (1 for the first) and its loss. The same points and seed give the same
    denoiser. It computes in float32. Raises ValueError for points that are not finite or not of shape m×2, and for no
    points, no steps or an empty batch.
    """
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not bool(points.isfinite().all()):
        raise ValueError(f"points to learn are m×2 finite numbers, not {tuple(points.shape)}")
    if steps < 1 or batch < 1:
        raise ValueError(f"learning takes at least one step of one point, not {steps} of {batch}")
    data = points.detach().float()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rng.integer(seed, "weights"))  # not those of GPUs too
        network = MLP(dimension=2)
    denoiser = Denoiser(network, PROCESS.prediction)
    objective = Objective(LogNormal(*PROCESS.lognormal))
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(max(0.0, 1 - AVERAGED / steps)))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.9, 0.99), fused=True)
    for step in range(steps):
        random = rng.generator(seed, "step", step)
        x0 = data[torch.from_numpy(random.integers(len(data), size=batch))]
        noise = rng.normal((batch, 2), seed, "noise", step)
        loss = objective.errors(denoiser, x0, noise, stratified(batch, random.random())).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARMUP, 1 - step / steps)
        optimizer.step()
        average.update_parameters(network)
        if callback:
            callback(step + 1, loss.item())
    return Denoiser(average.module.eval().requires_grad_(False), PROCESS.prediction)


def sample(denoise: Denoise, m: int, settings: SamplerSettings | None = None, seed: int = 0) -> Float64[Tensor, "m 2"]:
    """m points sampled with a learned denoiser, or an ideal one, from pure noise; by `SAMPLER` without settings.

    Point k of a seed starts from the same noise, and meets the same, however many are sampled. Raises UserError
    for settings that the samplers do not know.
    """
    settings = settings or SAMPLER
    levels = levels_for(settings, schedule(PROCESS.schedule, PROCESS.T))

    def noise(k: int | str) -> Float[Tensor, "m 2"]:
        return rng.normal((m, 2), seed, "points", k)

    with torch.inference_mode():
        return sampler(settings)(denoise, noise("start"), levels, noise).double()
