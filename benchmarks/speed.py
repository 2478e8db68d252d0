"""Training speed side by side in one run: fromnoise, diffusers, denoising-diffusion-pytorch, and the hardware.

    make bench          (about three minutes on two CPU cores; nothing else should run beside it)

Each trains on the same 64 grey 32×32 digits: loss, gradient, optimiser, moving average. `diffusers` is its training
example at the U-Net size of ours (float32, eager, AdamW, EMA); `ddpm-pytorch` is denoising-diffusion-pytorch's
GaussianDiffusion with its Trainer's optimiser and EMA. Networks differ, so images/s stand beside operations a second.
The limits are what the CPU reaches on bare operations in the same run. Best of three groups of steps each.
"""

import dataclasses
import platform
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch
import torch.nn.functional as F
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fromnoise.config import PRESETS
from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resized
from fromnoise.faces import system
from fromnoise.files import write_json
from fromnoise.generation.model import Model, Shape
from fromnoise.training import plan
from fromnoise.training.batches import Batches
from fromnoise.training.ema import MovingAverage
from fromnoise.training.optimizers import Optimizers

BATCH = 64
CPU = torch.device("cpu")
Step = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Measure training speed."""

    steps: int = 4
    """Steps in each of the three groups."""
    json: Path | None = None
    """Write the results here as JSON."""


@dataclasses.dataclass(frozen=True)
class Result:
    """One trainer's speed; `gflop` is one image's forward pass, a step counts three of them."""

    name: str
    parameters: int
    gflop: float
    images_per_second: float

    @property
    def tflops(self) -> float:
        """Operations a second, in 10¹²."""
        return 3 * self.gflop * self.images_per_second / 1e3


def seconds(step: Step, steps: int) -> float:
    """The best mean over three groups of steps, after one step that warms up."""
    step()
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(steps):
            step()
        best = min(best, (time.perf_counter() - start) / steps)
    return best


def result(name: str, network: nn.Module, forward: Step, step: Step, steps: int) -> Result:
    """Count and time one trainer."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward()
    parameters = sum(p.numel() for p in network.parameters())
    return Result(name, parameters, counter.get_total_flops() / 1e9, BATCH / seconds(step, steps))


def ours(images: ImageSet, optimizer: str, precision: str, steps: int) -> Result:
    """The fast preset's own step, eager."""
    config = PRESETS["fast"]
    model = Model.build(config, Shape.of(images, config))
    network, goal = model.network.train(), model.objective()
    settings = dataclasses.replace(config.training, optimizer=optimizer)  # type: ignore[arg-type]
    optimizers, average = Optimizers(network, settings), MovingAverage(network, settings.ema)
    batches, numbers = Batches(model, images), count()

    def step() -> None:
        batch = batches(next(numbers))
        optimizers.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, precision == "bf16"):
            errors = goal.errors(model.denoiser(), batch.x0, batch.noise, batch.u, batch.label)
        errors.mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizers.step(1e-3)
        average.update(1000)

    image, level = torch.zeros(1, 1, 32, 32), torch.zeros(1)
    return result(f"fromnoise, {optimizer}, {precision}", network, lambda: network(image, level), step, steps)


def diffusers(x0: Tensor, steps: int) -> Result:
    """diffusers' training example: DDPMScheduler, AdamW, EMAModel, float32, eager."""
    from diffusers import DDPMScheduler, UNet2DModel
    from diffusers.training_utils import EMAModel

    network = UNet2DModel(
        sample_size=32,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(64, 128, 128),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )
    scheduler = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True)

    def step() -> None:
        noise, t = torch.randn_like(x0), torch.randint(0, 1000, (len(x0),))
        F.mse_loss(network(scheduler.add_noise(x0, noise, t), t).sample, noise).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())

    return result("diffusers' example, fp32", network, lambda: network(x0[:1], torch.zeros(1)), step, steps)


def ddpm_pytorch(x0: Tensor, steps: int) -> Result:
    """denoising-diffusion-pytorch's network, diffusion, Adam and EMA as its Trainer puts them together."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from ema_pytorch import EMA

    network = Unet(dim=32, dim_mults=(1, 2, 4), channels=1)
    diffusion = GaussianDiffusion(network, image_size=32)
    optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
    average = EMA(diffusion, beta=0.995, update_every=10)
    pixels = (x0 + 1) / 2

    def step() -> None:
        diffusion(pixels).backward()
        nn.utils.clip_grad_norm_(diffusion.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update()

    return result("ddpm-pytorch, fp32", network, lambda: network(x0[:1], torch.zeros(1)), step, steps)


def limits() -> dict[str, float]:
    """TFLOP/s of bare operations: a matrix product, and a 3×3 convolution of our middle level."""
    found = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found[f"matrix product, {name}"] = plan.matrix_rate(CPU, name, 2048) / 1e12
        x = torch.randn(BATCH, 128, 8, 8, dtype=dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
        kernel = torch.randn(128, 128, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
        weight = kernel.requires_grad_()
        operations = 2 * BATCH * 64 * 128 * 128 * 9

        def forward(x: Tensor = x, weight: Tensor = weight) -> Tensor:
            return F.conv2d(x, weight, padding=1)

        def both(forward: Callable[[], Tensor] = forward) -> None:
            y = forward()
            y.backward(y.detach())

        with torch.no_grad():
            found[f"convolution forward, {name}"] = operations / seconds(forward, 20) / 1e12
        found[f"convolution forward and backward, {name}"] = 3 * operations / seconds(both, 20) / 1e12
    return found


def main(settings: Settings) -> None:
    """Measure all, print two tables."""
    torch.manual_seed(0)
    images = resized(digits.load("train"), (32, 32))
    x0 = normalise(images.images[:BATCH])
    results = [
        *(ours(images, "muon", precision, settings.steps) for precision in ("bf16", "fp32")),
        ours(images, "adamw", "bf16", settings.steps),
        diffusers(x0, settings.steps),
        ddpm_pytorch(x0, settings.steps),
    ]
    bounds = limits()
    console = Console()
    table = Table("trainer", "parameters", "GFLOP forward", "images/s", "TFLOP/s", title=f"on {system.processor()}")
    for row in results:
        cells = (
            f"{row.parameters / 1e6:.1f} M",
            f"{row.gflop:.2f}",
            f"{row.images_per_second:.0f}",
            f"{row.tflops:.2f}",
        )
        table.add_row(row.name, *cells)
    console.print(table)
    table = Table("limit", "TFLOP/s")
    for name, value in bounds.items():
        table.add_row(name, f"{value:.2f}")
    console.print(table)
    if settings.json:
        rows = [dataclasses.asdict(row) | {"tflops": row.tflops} for row in results]
        about = {
            "processor": system.processor(),
            "matrix_units": system.matrix_units(),
            "python": platform.python_version(),
        }
        write_json(settings.json, {"results": rows, "limits": bounds, "batch": BATCH, **about})


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
