"""Learning a set of points and drawing new ones, by the process, objective and samplers that images go through."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from fromnoise import rng
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.objective import LogNormal, Objective, stratified
from fromnoise.diffusion.samplers import Callback, Denoise, levels_for, sampler
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import DiffusionSettings, SamplerSettings
from fromnoise.networks.mlp import MLP

PROCESS = DiffusionSettings(logsnr_mean=1.0)  # v-prediction, log-normal levels: as for images, with less noise
SAMPLER = SamplerSettings(sampling_steps=20, logsnr_range=(-9, 10), start="noise")  # points cost next to nothing

# Chosen by the error of the learned score of `sets.MIXTURE`, and by the share of points drawn between the parts of
# the other sets, at a given time of one core.
STEPS, QUICK_STEPS = 2500, 600
BATCH = 1024
RATE, WARMUP = 1e-2, 50  # the learning rate: a rise, then a linear fall to zero at the last step
AVERAGED = 10  # the weights are averaged over about the last 1/10 of the steps, with less and less weight backwards

Progress = Callable[[int, float], None]


def learn(
    points: Float[Tensor, "m 2"],
    steps: int = STEPS,
    batch: int = BATCH,
    seed: int = 0,
    callback: Progress | None = None,
) -> Denoiser:
    """An `MLP` trained on points, by Adam, as the denoiser of their distribution; its weights are averaged ones.

    `callback` is told the number of the step (1 for the first) and its loss. The same points and seed give the same
    denoiser. It computes in float32, and keeps the points' deviation as its `scale`. Raises ValueError for points
    that are not finite, not of shape m×2 or all the same, and for no steps or an empty batch.
    """
    if points.ndim != 2 or points.shape[1] != 2 or not bool(points.isfinite().all()):
        raise ValueError(f"points to learn are m×2 finite numbers, not {tuple(points.shape)}")
    scale = float(points.std(correction=0)) if len(points) else 0.0
    if not scale > 0:
        raise ValueError("points that are all the same, or none, leave nothing to learn")
    if steps < 1 or batch < 1:
        raise ValueError(f"learning takes at least one step of one point, not {steps} of {batch}")
    data = points.detach().float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.integer(seed, "weights"))
        network = MLP(dimension=2)
    denoiser = Denoiser(network, PROCESS.prediction, scale)
    objective = Objective(LogNormal(PROCESS.logsnr_mean, PROCESS.logsnr_std, scale))
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
    return Denoiser(average.module.eval().requires_grad_(False), PROCESS.prediction, scale)


def draw(
    denoise: Denoise,
    m: int,
    settings: SamplerSettings | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> Float64[Tensor, "m 2"]:
    """m points drawn by a learned `Denoiser`, or by any other: an ideal one's data is taken to be of unit deviation.

    `callback` sees every step of the sampler. Point k of a seed starts from the same noise, and meets the same,
    however many are drawn. `SAMPLER` when no settings are given; the start is noise whatever they say.
    Raises UserError for settings that the samplers do not know.
    """
    settings = settings or SAMPLER
    scale = denoise.scale if isinstance(denoise, Denoiser) else 1.0
    levels = levels_for(settings, schedule(PROCESS.schedule, PROCESS.T), scale)

    def noise(k: int | str) -> Float[Tensor, "m 2"]:
        return rng.normal((m, 2), seed, "points", k)

    with torch.inference_mode():
        return sampler(settings)(denoise, noise("start"), levels, noise, callback).double()
