"""The two peers, each put together as its own example trains and samples, with about our network's operations.

`Diffusers` follows diffusers' examples/unconditional_image_generation/train_unconditional.py; `DDPMPytorch` follows
the Trainer of denoising-diffusion-pytorch. Ours to choose is the size of the networks, as their examples are made for
larger images: three levels, in diffusers' one block a level and attention on the last, and widths by which one grey
32×32 image's forward pass takes within 15 % of the operations of ours with `--channels 64 128 128`. Batches are of 64
images, not mirrored: a mirrored digit is no digit.

Given labels, `Diffusers` adds their embedding (UNet2DModel's own `num_class_embeds`) and `DDPMPytorch` takes the
classes of its classifier_free_guidance module. The warm-up of diffusers' example, 500 steps of many thousands, is cut
to a twentieth of shorter trainings.
"""

import abc
import contextlib
import copy
import io
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from fromnoise.data.pixels import normalise

BATCH = 64
T = 1000
WARM_UP = 500
SHARE = 0.05  # of a training that warms up at most


class Peer(abc.ABC):
    """A network, its training and its samplers.

    images       uint8 N×C×H×W to learn from, at least one batch
    labels       int64 N, their classes; None: unconditional
    rate         the learning rate
    precision    fp32 (as shipped), or bf16 by autocast
    compiled     whether training goes through torch.compile; sampling is eager
    total_steps  of the whole training, for a learning rate that falls

    network      what is trained; samples are drawn by its moving average
    """

    name: str
    default_sampler: str
    falls: bool
    """Whether its learning rate falls over `total_steps`."""
    guidances: tuple[float | None, ...] = (None,)
    """Scales of guidance that labelled samples are worth trying with."""

    def __init__(
        self,
        images: UInt8[Tensor, "n c h w"],
        precision: str = "fp32",
        compiled: bool = False,
        total_steps: int = 10_000,
        batch: int = BATCH,
        seed: int = 0,
        labels: Int64[Tensor, " n"] | None = None,
        rate: float = 1e-4,
    ) -> None:
        if len(images) < batch:
            raise ValueError(f"{len(images)} images are less than a batch of {batch}")
        torch.manual_seed(seed)
        self.images, self.precision, self.batch, self.total_steps = images, precision, batch, total_steps
        self.labels, self.rate = labels, rate
        self.classes = 0 if labels is None else int(labels.max()) + 1
        self.guidance: float | None = self.guidances[0] if self.classes else None
        self._batches, self._drawn = self._shuffled(), 0
        self.network = self._build()
        if compiled:
            self.network.compile()

    def train_step(self) -> float:
        """Take one step on the next batch; returns its loss."""
        rows = next(self._batches)
        x0, label = normalise(self.images[rows]), None if self.labels is None else self.labels[rows]
        with self._autocast():
            loss = self._loss(x0, label)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._update()
        return loss.item()

    def sample(self, n: int, calls: int = T) -> UInt8[Tensor, "n c h w"]:
        """n images by so many network calls: 1,000 by the default sampler, fewer by DDIM.

        With labels, those of `drawn`, at the scale `guidance`.
        """
        draw = self.default if calls == T else self.ddim
        sizes = [min(self.batch, n - start) for start in range(0, n, self.batch)]
        self._drawn = 0
        return torch.cat([(draw(size, calls) * 255).round().to(torch.uint8) for size in sizes])

    def drawn(self, n: int, start: int = 0) -> Int64[Tensor, " n"] | None:
        """The labels of n samples from the `start`-th on, all classes in turn; None without labels."""
        return torch.arange(start, start + n) % self.classes if self.classes else None

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
    def _loss(self, x0: Float[Tensor, "n c h w"], label: Int64[Tensor, " n"] | None) -> Tensor:
        """The loss of images in [−1, 1]."""

    @abc.abstractmethod
    def _update(self) -> None:
        """The optimiser's step and the moving average's."""

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, self.precision == "bf16")

    def _next_labels(self, n: int) -> Int64[Tensor, " n"] | None:
        start, self._drawn = self._drawn, self._drawn + n
        return self.drawn(n, start)

    def _shuffled(self) -> Iterator[Tensor]:
        while True:  # whole batches: one of another size would be compiled anew
            yield from torch.randperm(len(self.images)).split(self.batch)[: len(self.images) // self.batch]


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
            num_class_embeds=self.classes or None,
        )
        parameters = list(network.parameters())
        self._scheduler = DDPMScheduler(num_train_timesteps=T)
        self._optimizer = torch.optim.AdamW(parameters, lr=self.rate, betas=(0.95, 0.999), weight_decay=1e-6)
        warm_up = min(WARM_UP, round(SHARE * self.total_steps))
        self._rate = get_scheduler(
            "cosine", self._optimizer, num_warmup_steps=warm_up, num_training_steps=self.total_steps
        )
        self._average = EMAModel(parameters, decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        self._averaged = copy.deepcopy(network).eval()
        return network

    def _loss(self, x0: Float[Tensor, "n c h w"], label: Int64[Tensor, " n"] | None) -> Tensor:
        noise, t = torch.randn_like(x0), torch.randint(0, T, (len(x0),))
        noisy = self._scheduler.add_noise(x0, noise, t)
        return F.mse_loss(self.network(noisy, t, class_labels=label).sample.float(), noise)

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
        label = self._next_labels(n)
        if label is not None:  # the pipelines are for models without labels
            return self._labelled(scheduler, label, calls)
        run = pipeline(unet=self._averaged, scheduler=scheduler)
        run.set_progress_bar_config(disable=True)
        with self._autocast():
            images = run(batch_size=n, num_inference_steps=calls, output_type="np").images
        return torch.from_numpy(images).permute(0, 3, 1, 2).float()

    @torch.no_grad()
    def _labelled(self, scheduler: Any, label: Int64[Tensor, " n"], calls: int) -> Tensor:
        """What a pipeline does, with labels."""
        scheduler.set_timesteps(calls)
        x = torch.randn(len(label), *self.images.shape[1:])
        for t in scheduler.timesteps:
            with self._autocast():
                noise = self._averaged(x, t, class_labels=label).sample.float()
            x = scheduler.step(noise, t, x).prev_sample
        return (x / 2 + 0.5).clamp(0, 1)


class DDPMPytorch(Peer):
    """denoising-diffusion-pytorch's Unet and GaussianDiffusion, with its Trainer's Adam, clipping and EMA.

    With labels those of its classifier_free_guidance, where each sampling step takes two network calls.
    """

    name = "ddpm-pytorch"
    default_sampler = "p_sample_loop"
    falls = False
    guidances = (2.0, 4.0, 6.0)  # its example's is 6

    def _build(self) -> nn.Module:
        from ema_pytorch import EMA

        about = {"dim": 24, "dim_mults": (1, 2, 4), "channels": self.images.shape[1]}
        height, width = self.images.shape[2:]
        if self.classes:
            from denoising_diffusion_pytorch import classifier_free_guidance as guided

            network = guided.Unet(num_classes=self.classes, **about)
            self._diffusion = guided.GaussianDiffusion(network, image_size=height, timesteps=T)  # squares only
        else:
            from denoising_diffusion_pytorch import GaussianDiffusion, Unet

            network = Unet(**about)
            self._diffusion = GaussianDiffusion(network, image_size=(height, width), timesteps=T)
        self._optimizer = torch.optim.Adam(self._diffusion.parameters(), lr=self.rate, betas=(0.9, 0.99))
        self._average = EMA(self._diffusion, beta=0.995, update_every=10)
        return network

    def _loss(self, x0: Float[Tensor, "n c h w"], label: Int64[Tensor, " n"] | None) -> Tensor:
        return self._diffusion((x0 + 1) / 2, **({} if label is None else {"classes": label}))

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
        diffusion.sampling_timesteps = calls // 2 if self.classes else calls
        return self._run(diffusion.ddim_sample, n)

    def _run(self, loop: Any, n: int) -> Tensor:
        label, shape = self._next_labels(n), (n, *self.images.shape[1:])
        with self._autocast(), contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            images = loop(shape) if label is None else loop(label, shape, cond_scale=self.guidance)
        return images.float().clamp(0, 1)


PEERS: dict[str, type[Peer]] = {peer.name: peer for peer in (Diffusers, DDPMPytorch)}
