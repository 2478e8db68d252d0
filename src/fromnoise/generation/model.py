"""A model: a network, its configuration, and what it has to know of the data it learnt."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fromnoise import rng, tensors
from fromnoise.config import Config, from_json, to_json
from fromnoise.data import augment
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import histogram, normalise
from fromnoise.data.settings import parse_size
from fromnoise.diffusion import objective
from fromnoise.diffusion.denoiser import ByStep, Denoiser, by_logsnr
from fromnoise.diffusion.samplers import levels_for, sampler
from fromnoise.diffusion.schedule import Schedule, schedule
from fromnoise.errors import UserError
from fromnoise.files import whole
from fromnoise.networks.registry import network
from fromnoise.tensors import DamagedFile

FORMAT = 1  # of `About`
CHECKPOINT_FILE = "model.safetensors"


@dataclass(frozen=True)
class Shape:
    """What a model knows of its data: images' channels, height, width, scale (root mean square), each channel's
    mean, each class's share, and whether the classes are clusters (`fromnoise.data.clusters`)."""

    channels: int
    height: int
    width: int
    scale: float
    mean: tuple[float, ...]
    class_shares: tuple[float, ...] = ()
    clustered: bool = False

    @classmethod
    def of(cls, images: ImageSet, config: Config) -> "Shape":
        """The shape of a training set, of whose classes or clusters the network is told if it takes labels."""
        counts = histogram(images.images)
        if (counts.sum(dim=0) > 0).sum() == 1:
            raise UserError(f"{images.name}: all pixels have the same value; there is nothing to learn")
        shares = counts.double() / counts[0].sum()
        values = normalise(torch.arange(256, dtype=torch.uint8)).double()
        means = shares @ values
        scale = float((shares @ values.square()).mean()) ** 0.5
        if network(config.network).BY_STEP:
            scale = 1.0  # another would move the levels from the schedule's steps
        classes: tuple[float, ...] = ()
        told = network(config.network).CONDITIONED and (config.network.labels or images.clustered)
        if images.labels is not None and told and images.classes > 1:
            each = images.labels.bincount(minlength=images.classes).double()
            classes = tuple((each / each.sum()).tolist())
        # Rounded to float32, as what the network computes with.
        scale, *mean = torch.tensor([scale, *means.tolist()]).tolist()
        return cls(*images.shape, scale, tuple(mean), classes, images.clustered and bool(classes))

    @property
    def image(self) -> tuple[int, int, int]:
        """Channels, height, width."""
        return self.channels, self.height, self.width

    @property
    def classes(self) -> int:
        """Number of classes or clusters the network is told of; 0 for none."""
        return len(self.class_shares)

    @property
    def told(self) -> str:
        """What the network is told of an image beside its noise level, in words."""
        return f"{self.classes} {'clusters' if self.clustered else 'classes'}" if self.classes else "no classes"


@dataclass(frozen=True)
class Model:
    """A network joined to the process it was made for."""

    config: Config
    shape: Shape
    network: nn.Module
    precision: str = "fp32"
    """What it was trained in, and is drawn in where the device has it."""
    channels_last: bool = False
    guidance: float | None = None
    """What was chosen for it once it was trained; what the configuration or a drawing says goes over it."""

    @classmethod
    def build(cls, config: Config, shape: Shape) -> "Model":
        """A model with fresh weights, decided by the configuration's seed alone; raises UserError as `check` does."""
        check(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.integer(config.seed, "weights"))
            return cls(config, shape, _network(config, shape))

    @property
    def table(self) -> Schedule:
        """The discrete schedule."""
        settings = self.config.diffusion
        return schedule(settings.schedule, settings.T, zero_terminal_snr=settings.zero_terminal_snr)

    def denoiser(self, other: Any = None) -> Denoiser:
        """The denoiser of this model's network, or of `other` (the same one compiled, wrapped or averaged)."""
        settings = self.config.diffusion
        return Denoiser(
            self.network if other is None else other,
            settings.prediction,
            self.shape.scale,
            ByStep(self.table) if network(self.config.network).BY_STEP else by_logsnr,
        )

    def objective(self) -> objective.Objective:
        """The training loss."""
        settings = self.config.diffusion
        levels: objective.Levels
        if settings.levels == "uniform":
            levels = objective.UniformSteps(self.table)
        else:
            levels = objective.LogNormal(settings.logsnr_mean, settings.logsnr_std, self.shape.scale)
        return objective.Objective(levels)

    def save(self, path: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write weights (the network's own, or those given) and configuration as one safetensors file."""
        drawing = Sampling(self.precision, self.channels_last, self.guidance)  # type: ignore[arg-type]
        about = to_json(About(FORMAT, self.config, self.shape, drawing))
        with whole(path) as temporary:
            tensors.save(temporary, self.network.state_dict() if weights is None else weights, about)

    @classmethod
    def load(cls, path: Path) -> "Model":
        """The model in a safetensors file that `save` wrote; raises UserError for any other file."""
        try:
            weights, about = tensors.load(path)
        except DamagedFile as error:
            raise DamagedFile(f"{error}: take another copy of it, or an older checkpoint") from error
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise UserError(f"{path} is not a model of this version of fromnoise")
        try:
            found = from_json(About, about)
            check(found.config)
            _check_shape(found.shape, found.config)
            with torch.device("meta"):  # which takes no memory, whatever the configuration says
                _check_weights(weights, _network(found.config, found.shape))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        model = dataclasses.replace(cls.build(found.config, found.shape), **vars(found.drawing))
        model.network.load_state_dict(weights)
        model.network.eval().requires_grad_(False)
        return model


@dataclass(frozen=True)
class Sampling:
    """How a model is sampled from: see `Model`."""

    precision: Literal["fp32", "bf16", "fp16"]
    channels_last: bool
    guidance: float | None


@dataclass(frozen=True)
class About:
    """What a model file says beside the weights."""

    format: int
    config: Config
    shape: Shape
    drawing: Sampling


def _check_shape(shape: Shape, config: Config) -> None:
    """Raise UserError for a shape that no data of `config` has."""
    if (shape.height, shape.width) != parse_size(config.data.size):
        raise UserError(f"its images are {shape.height}×{shape.width}, and its configuration says {config.data.size}")
    if shape.channels not in (1, 3) or len(shape.mean) != shape.channels:
        raise UserError(f"its images have {shape.channels} channels and {len(shape.mean)} means, not 1 or 3 of both")
    if shape.classes == 1 or (shape.classes and abs(sum(shape.class_shares) - 1) > 1e-6):
        raise UserError("its classes' shares do not add up to 1")


def _check_weights(weights: Mapping[str, Tensor], built: nn.Module) -> None:
    """Raise UserError unless `weights` are those of a network like `built`."""
    needed = built.state_dict()
    for name in needed | dict(weights):
        ours, theirs = (_described(tensors.get(name)) for tensors in (needed, weights))
        if ours != theirs:
            raise UserError(f"its configuration needs {name} to be {ours}, and in the file it is {theirs}")
        if not bool(weights[name].isfinite().all()):
            raise UserError(f"not all numbers of {name} are finite")


def _described(tensor: Tensor | None) -> str:
    if tensor is None:
        return "missing"
    return f"{'×'.join(map(str, tensor.shape))} {'numbers' if tensor.is_floating_point() else tensor.dtype}"


def _network(config: Config, shape: Shape) -> nn.Module:
    change = augment.NUMBERS if config.training.augment else 0
    settings, size = config.network, (shape.height, shape.width)
    return network(settings).build(settings, shape.channels, size, shape.classes, change)


def check(config: Config) -> None:
    """Raise UserError for settings that do not go together, or a size that the network's levels do not divide."""
    diffusion, kind = config.diffusion, network(config.network)
    kind.check(config.network)
    if kind.BY_STEP and (diffusion.levels != "uniform" or config.sampling.spacing != "t"):
        raise UserError("this network knows only its schedule's steps: --levels uniform --spacing t")
    if config.training.augment and not kind.CONDITIONED:
        raise UserError("--augment changes images and tells the network how, and this network cannot be told")
    if diffusion.zero_terminal_snr and diffusion.prediction == "eps":
        raise UserError("zero terminal SNR needs v or x0 prediction: eps cannot start from pure noise")
    sampler(config.sampling)
    levels_for(config.sampling, schedule(diffusion.schedule, diffusion.T))
    _check_size(config)


def _check_size(config: Config) -> None:
    height, width = parse_size(config.data.size)
    multiple = network(config.network).multiple(config.network)
    if height % multiple or width % multiple:
        fits = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        wanted = str(fits[0]) if height == width else f"{fits[0]}x{fits[1]}"
        raise UserError(
            f"--size {config.data.size}: this network needs height and width to be multiples of {multiple}; "
            f"the nearest is --size {wanted}"
        )
