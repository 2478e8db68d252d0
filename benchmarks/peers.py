"""The two peers, each put together as its own example trains and samples, with about our network's operations.

`Diffusers` follows diffusers' examples/unconditional_image_generation/train_unconditional.py; `DDPMPytorch` follows
the Trainer of denoising-diffusion-pytorch. Ours to choose is the size of the networks, as their examples are made for
larger images: three levels, in diffusers' one block a level and attention on the last, and widths by which one grey
32×32 image's forward pass takes within 15 % of the operations of ours with `--channels 64 128 128`. Batches are of 64
images, not mirrored: a mirrored digit is no digit.
"""

import abc
import contextlib
import copy
import io
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fromnoise.data.pixels import normalise

BATCH = 64
T = 1000


class Peer(abc.ABC):
    """A network, its training and its samplers.

    images       uint8 N×C×H×W to learn from, at least one batch
    precision    fp32 (as shipped), or bf16 by autocast
    compiled     whether training goes through torch.compile; sampling is eager
    total_steps  of the whole training, for a learning rate that falls

    network      what is trained; samples are drawn by its moving average
    """

    name: str
    default_sampler: str
    falls: bool
    """Whether its learning rate falls over `total_steps`."""

    def __init__(
        self,
        images: UInt8[Tensor, "n c h w"],
        precision: str = "fp32",
        compiled: bool = False,
        total_steps: int = 10_000,
        batch: int = BATCH,
        seed: int = 0,
    ) -> None:
        if len(images) < batch:
            raise ValueError(f"{len(images)} images are less than a batch of {batch}")
        torch.manual_seed(seed)
        self.images, self.precision, self.batch, self.total_steps = images, precision, batch, total_steps
        self._batches = self._shuffled()
        self.network = self._build()
        if compiled:
            self.network.compile()

    def train_step(self) -> float:
        """Take one step on the next batch; returns its loss."""
        x0 = normalise(next(self._batches))
        with self._autocast():
            loss = self._loss(x0)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._update()
        return loss.item()

    def sample(self, n: int, calls: int = T) -> UInt8[Tensor, "n c h w"]:
        """n images by so many network calls: 1,000 by the default sampler, fewer by DDIM."""
        draw = self.default if calls == T else self.ddim
        sizes = [min(self.batch, n - start) for start in range(0, n, self.batch)]
        return torch.cat([(draw(size, calls) * 255).round().to(torch.uint8) for size in sizes])

    @abc.abstractmethod
    def default(self, n: int, calls: int) -> Float[Tensor, "n c h w"]:
        """One batch in [0, 1] by the default sampler; with less than its 1,000 calls it tells only their speed."""

    @abc.abstractmethod
    def ddim(self, n: int, calls: int) -> Float[Tensor, "n c h w"]:
        """One batch in [0, 1] by DDIM."""

    @abc.abstractmethod
    def _build(self) -> nn.Module:
        """The network, with all that training it needs."""

    @abc.abstractmethod
    def _loss(self, x0: Float[Tensor, "n c h w"]) -> Tensor:
        """The loss of images in [−1, 1]."""

    @abc.abstractmethod
    def _update(self) -> None:
        """The optimiser's step and the moving average's."""

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, self.precision == "bf16")

    def _shuffled(self) -> Iterator[Tensor]:
        while True:  # whole batches: one of another size would be compiled anew
            for rows in torch.randperm(len(self.images)).split(self.batch)[: len(self.images) // self.batch]:
                yield self.images[rows]


class Diffusers(Peer):
    """diffusers' training example: UNet2DModel, DDPMScheduler, AdamW, cosine learning rate, EMAModel."""

    name = "diffusers"
    default_sampler = "DDPMPipeline"
    falls = True

    def _build(self) -> nn.Module:
        from diffusers import DDPMScheduler, UNet2DModel
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        channels = self.images.shape[1]
        network = UNet2DModel(
            sample_size=tuple(self.images.shape[2:]),
            in_channels=channels,
            out_channels=channels,
            layers_per_block=1,
            block_out_channels=(32, 64, 64),
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
            norm_num_groups=8,  # 32 would leave one channel in each
        )
        parameters = list(network.parameters())
        self._scheduler = DDPMScheduler(num_train_timesteps=T)
        self._optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
        self._rate = get_scheduler("cosine", self._optimizer, num_warmup_steps=500, num_training_steps=self.total_steps)
        self._average = EMAModel(parameters, decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        self._averaged = copy.deepcopy(network).eval()
        return network

    def _loss(self, x0: Float[Tensor, "n c h w"]) -> Tensor:
        noise, t = torch.randn_like(x0), torch.randint(0, T, (len(x0),))
        return F.mse_loss(self.network(self._scheduler.add_noise(x0, noise, t), t).sample.float(), noise)

    def _update(self) -> None:
        self._optimizer.step()
        self._rate.step()
        self._optimizer.zero_grad()
        self._average.step(self.network.parameters())

    def default(self, n: int, calls: int) -> Float[Tensor, "n c h w"]:
        """By DDPMPipeline; fewer calls are spread over its 1,000 steps."""
        from diffusers import DDPMPipeline

        return self._run(DDPMPipeline, self._scheduler, n, calls)

    def ddim(self, n: int, calls: int) -> Float[Tensor, "n c h w"]:
        """By DDIMPipeline."""
        from diffusers import DDIMPipeline, DDIMScheduler

        return self._run(DDIMPipeline, DDIMScheduler.from_config(self._scheduler.config), n, calls)

    def _run(self, pipeline: Any, scheduler: Any, n: int, calls: int) -> Tensor:
        self._average.copy_to(self._averaged.parameters())
        run = pipeline(unet=self._averaged, scheduler=scheduler)
        run.set_progress_bar_config(disable=True)
        with self._autocast():
            return run(batch_size=n, num_inference_steps=calls, output_type="pt").images.float()


class DDPMPytorch(Peer):
    """denoising-diffusion-pytorch's Unet and GaussianDiffusion, with its Trainer's Adam, clipping and EMA."""

    name = "ddpm-pytorch"
    default_sampler = "p_sample_loop"
    falls = False

    def _build(self) -> nn.Module:
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet
        from ema_pytorch import EMA

        network = Unet(dim=24, dim_mults=(1, 2, 4), channels=self.images.shape[1])
        self._diffusion = GaussianDiffusion(network, image_size=tuple(self.images.shape[2:]), timesteps=T)
        self._optimizer = torch.optim.Adam(self._diffusion.parameters(), lr=1e-4, betas=(0.9, 0.99))
        self._average = EMA(self._diffusion, beta=0.995, update_every=10)
        return network

    def _loss(self, x0: Float[Tensor, "n c h w"]) -> Tensor:
        return self._diffusion((x0 + 1) / 2)

    def _update(self) -> None:
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.update()

    def default(self, n: int, calls: int) -> Float[Tensor, "n c h w"]:
        """By p_sample_loop; fewer calls are its last ones, on noise that they never see."""
        diffusion = self._average.ema_model
        diffusion.num_timesteps = calls  # the loop's length; the noise schedule's tables stay
        try:
            return self._run(diffusion.p_sample_loop, n)
        finally:
            diffusion.num_timesteps = T

    def ddim(self, n: int, calls: int) -> Float[Tensor, "n c h w"]:
        """By ddim_sample."""
        diffusion = self._average.ema_model
        diffusion.sampling_timesteps = calls
        return self._run(diffusion.ddim_sample, n)

    def _run(self, loop: Any, n: int) -> Tensor:
        with self._autocast(), contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            return loop((n, *self.images.shape[1:])).float().clamp(0, 1)


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Diffusers, DDPMPytorch)}
