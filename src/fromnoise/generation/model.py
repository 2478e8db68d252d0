"""A model: a network, its configuration, and the facts of the data it learnt."""

import dataclasses
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from fromnoise import rng, tensors
from fromnoise.config import Config, from_json, to_json
from fromnoise.data import augment
from fromnoise.data.settings import parse_size
from fromnoise.diffusion.denoiser import Denoiser
from fromnoise.diffusion.objective import Levels, LogNormal, Objective, UniformSteps
from fromnoise.diffusion.samplers import levels_for
from fromnoise.diffusion.schedule import Schedule, schedule
from fromnoise.diffusion.settings import Guidance
from fromnoise.errors import UserError
from fromnoise.files import whole
from fromnoise.generation.data_info import DataInfo
from fromnoise.hardware import CPU
from fromnoise.networks.network import Network
from fromnoise.networks.registry import network
from fromnoise.tensors import DamagedFile

FORMAT = 2  # of `Metadata`
FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}  # those of 8 bits cannot be computed with
CHECKPOINT_FILE = "model.safetensors"
_BUILDING = threading.Lock()  # fresh weights come from PyTorch's generator, which all threads share


@dataclass(frozen=True)
class Model:
    """A network joined to the process it was made for."""

    config: Config
    info: DataInfo
    network: nn.Module
    precision: str = "fp32"
    """The precision of its training, and of sampling where the device has it."""
    channels_last: bool = False
    guidance: float | None = None
    """The guidance chosen for it after its training; a configuration or a `SampleRequest` may name another."""

    @classmethod
    def build(cls, config: Config, info: DataInfo) -> "Model":
        """A model with fresh weights, decided by the configuration's seed alone; raises UserError as `check` does."""
        check(config)
        with _BUILDING, torch.device("cpu"), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(rng.integer(config.seed, "weights"))  # not those of GPUs too
            return cls(config, info, _network(config, info))

    @property
    def kind(self) -> type[Network]:
        """The class of the network."""
        return network(self.config.network)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next((parameter.device for parameter in self.network.parameters()), CPU)

    def to(self, device: torch.device) -> Self:
        """The model itself, its network moved to `device`."""
        self.network.to(device)
        return self

    @property
    def table(self) -> Schedule:
        """The discrete schedule."""
        return _table(self.config)

    def denoiser(self, other: Any = None) -> Denoiser:
        """The denoiser of this model's network, or of `other` (the same one compiled, wrapped or averaged)."""
        network, condition = self.network if other is None else other, self.kind.condition(self.table)
        return Denoiser(network, self.config.diffusion.prediction, condition)

    def objective(self) -> Objective:
        """The training loss."""
        return Objective(_levels(self.config))

    def save(self, path: Path, weights: dict[str, Tensor] | None = None) -> None:
        """Write weights (the network's own, or those given) and configuration as one safetensors file."""
        sampling = Sampling(self.precision, self.channels_last, self.guidance)  # type: ignore[arg-type]
        about = to_json(Metadata(FORMAT, self.config, self.info, sampling))
        with whole(path) as temporary:
            tensors.save(temporary, self.network.state_dict() if weights is None else weights, about)

    @classmethod
    def load(cls, path: Path) -> "Model":
        """The model in a safetensors file that `save` wrote; raises UserError for any other file."""
        try:
            weights, about = tensors.load(path)
        except DamagedFile as error:
            raise DamagedFile(f"{error}: use another copy, or an older checkpoint") from error
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise UserError(f"{path} is not a model of this version of fromnoise")
        try:
            found = from_json(Metadata, about)
            check(found.config)
            found.info.check(found.config)
            with torch.device("meta"):  # which takes no memory, whatever the configuration says
                _check_weights(weights, _network(found.config, found.info))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
        model = dataclasses.replace(cls.build(found.config, found.info), **vars(found.sampling))
        model.network.load_state_dict(weights)
        model.network.eval().requires_grad_(False)
        return model


@dataclass(frozen=True)
class Sampling:
    """How a model is sampled from: see `Model`."""

    precision: Literal["fp32", "bf16", "fp16"]
    channels_last: bool
    guidance: Guidance | None


@dataclass(frozen=True)
class Metadata:
    """A model file's metadata."""

    format: int
    config: Config
    info: DataInfo
    sampling: Sampling


def check(config: Config) -> None:
    """Raise UserError for settings that do not go together, or a size that the network's levels do not divide."""
    kind = network(config.network)
    kind.check(config.network)
    if config.training.augment and not kind.TAKES_LABELS:
        raise UserError("--augment needs a network conditioned on how images were changed, and this one is not")
    condition = kind.condition(_table(config))
    for levels in _levels(config)(torch.tensor([0.5])), levels_for(config.sampling, _table(config)):
        condition(levels[:1])  # raises UserError for levels at which the network does not work
    height, width = parse_size(config.data.size)
    multiple = kind.multiple(config.network)
    if height % multiple or width % multiple:
        fits = [max(multiple, round(side / multiple) * multiple) for side in (height, width)]
        wanted = str(fits[0]) if height == width else f"{fits[0]}x{fits[1]}"
        raise UserError(
            f"--size {config.data.size}: this network needs height and width to be multiples of {multiple}; "
            f"the nearest is --size {wanted}"
        )


def _table(config: Config) -> Schedule:
    return schedule(config.diffusion.schedule, config.diffusion.T)


def _levels(config: Config) -> Levels:
    """The noise levels of training."""
    if config.diffusion.levels == "uniform":
        return UniformSteps(_table(config))
    return LogNormal(*config.diffusion.lognormal)


def _network(config: Config, info: DataInfo) -> nn.Module:
    change = augment.NUMBERS if config.training.augment else 0
    kind = network(config.network)
    return kind.build(config.network, info.channels, (info.height, info.width), info.classes, change)


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
    return f"{'×'.join(map(str, tensor.shape))} {'numbers' if tensor.dtype in FLOATS else tensor.dtype}"
