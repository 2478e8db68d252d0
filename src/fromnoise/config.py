"""The one configuration: the rooms' frozen settings composed, the presets, and the way to JSON and back."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fromnoise.choices import choose
from fromnoise.data.settings import DataSettings
from fromnoise.diffusion.settings import DiffusionSettings, SamplerSettings
from fromnoise.errors import UserError
from fromnoise.evaluation.settings import EvaluationSettings
from fromnoise.networks.settings import NetworkSettings
from fromnoise.training.settings import TrainingSettings


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run does, but for where it runs and where it writes."""

    seed: int = 0
    """Seed of everything random: the draw of m, weights, batches, noise, samples."""
    data: DataSettings = field(default_factory=DataSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    sampling: SamplerSettings = field(default_factory=SamplerSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)


# The lab chapter as written: the text's schedule, variance and loss, with the code's network and optimiser.
CHAPTER = Config(
    data=DataSettings(clusters=0),
    diffusion=DiffusionSettings(schedule="linear", T=500, prediction="eps", levels="uniform", scaling="none"),
    network=NetworkSettings(network="chapter", labels=False),
    training=TrainingSettings(
        optimizer="adam",
        lr=1e-4,
        weight_decay=0.0,
        warmup=0,
        decay=0.0,
        clip=None,
        ema=0.0,
        precision="fp32",
        compile="off",
        log_every=10,
    ),
    sampling=SamplerSettings(sampler="ancestral", sampling_steps=500, spacing="t", start="noise"),
)
TINY = Config(
    data=DataSettings(m=200, size="16"),
    network=NetworkSettings(channels=(16, 32)),
    training=TrainingSettings(batch=16, precision="fp32", compile="off", warmup=5, log_every=5),
    sampling=SamplerSettings(sampling_steps=5),
    evaluation=EvaluationSettings(n=100),
)
PRESETS: Mapping[str, Config] = {"fast": Config(), "chapter": CHAPTER, "tiny": TINY}
DEFAULT_BUDGETS: Mapping[str, dict[str, Any]] = {
    "fast": {"minutes": 10.0},
    "chapter": {"epochs": 200.0},
    "tiny": {"steps": 30},
}
INFINITY = float("inf")
# The least and the largest value of settings that have them.
RANGES: Mapping[str, tuple[float, float]] = {
    "T": (2, 50_000),
    "logsnr_mean": (-30, 30),
    "logsnr_std": (1e-6, 30),
    "blocks": (1, INFINITY),
    "groups": (1, INFINITY),
    "patch": (1, INFINITY),
    "width": (64, INFINITY),
    "depth": (1, INFINITY),
    "dropout": (0, 0.99),
    "label_dropout": (0, 1),
    "augment": (0, 1),
    "guidance": (0, 100),
    "batch": (1, INFINITY),
    "lr": (1e-12, 1e12),
    "weight_decay": (0, INFINITY),
    "warmup": (0, INFINITY),
    "decay": (0, 1),
    "clip": (1e-12, INFINITY),
    "ema": (0, 0.999999),
    "log_every": (1, INFINITY),
    "checkpoint_every": (1, INFINITY),
    "evaluate_every": (1, INFINITY),
    "m": (1, INFINITY),
    "clusters": (0, 10_000),
}
# Settings whose default is not what was done before there was the setting.
BEFORE: Mapping[str, dict[str, Any]] = {
    "data": {"clusters": 0},
    "diffusion": {"scaling": "std"},
    "network": {"groups": 8},
    "sampling": {"guidance": 1.0, "logsnr_range": (-9.0, 10.0), "start": "noise"},
}
BUDGETS = ("minutes", "epochs", "steps")


def preset(name: str) -> Config:
    """The preset called `name`; raises UserError, listing them, for another name."""
    return choose("preset", name, PRESETS)


def with_budget(config: Config, preset_name: str) -> Config:
    """`config` with exactly one budget: its own, or the preset's where it has none.

    Raises UserError for more than one, or one that is not above zero.
    """
    given = {name: getattr(config.training, name) for name in BUDGETS if getattr(config.training, name) is not None}
    if len(given) > 1:
        raise UserError(f"give one budget, not {' and '.join('--' + name for name in given)}")
    for name, value in given.items():
        if not 0 < value < INFINITY:
            raise UserError(f"--{name} must be above 0 and finite, not {value}")
    budget = given or DEFAULT_BUDGETS[preset_name]
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **budget))


def check_ranges(config: Config) -> None:
    """Raise UserError for a setting outside its range."""
    rooms = [getattr(config, item.name) for item in dataclasses.fields(config)]
    for room in filter(dataclasses.is_dataclass, rooms):
        for item in dataclasses.fields(room):
            value, (least, largest) = getattr(room, item.name), RANGES.get(item.name, (-INFINITY, INFINITY))
            if item.name in RANGES and value is not None and not least <= value <= largest:
                flag = "--" + item.name.replace("_", "-")
                limits = f"at least {least:g}" if largest == INFINITY else f"from {least:g} to {largest:g}"
                raise UserError(f"{flag} must be {limits}, not {value}")


def to_json(value: Any) -> Any:
    """A settings dataclass as plain JSON values."""
    if dataclasses.is_dataclass(value):
        return {item.name: to_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_json(cls: type, value: Mapping[str, Any]) -> Any:
    """The settings dataclass `cls` from what `to_json` made of it; raises UserError for a field it does not have."""
    hints = typing.get_type_hints(cls)
    unknown = set(value) - set(hints)
    if unknown:
        raise UserError(f"unknown setting: {', '.join(sorted(unknown))}; was this made by a newer fromnoise?")
    fields: dict[str, Any] = {}
    for name, item in value.items():
        hint = hints[name]
        if dataclasses.is_dataclass(hint):
            item = from_json(typing.cast(type, hint), item)
        elif typing.get_origin(hint) is tuple:
            item = tuple(item)
        elif isinstance(hint, types.UnionType) and Path in typing.get_args(hint) and item is not None:
            item = Path(item)
        fields[name] = item
    return cls(**fields)


def stored(value: Mapping[str, Any]) -> Config:
    """The configuration in a file, also an older version's: what that did not know is as it was.

    Raises UserError as `from_json` does.
    """
    rooms = {room: {**then, **value.get(room, {})} for room, then in BEFORE.items()}
    if not rooms["diffusion"].pop("unit_scale", True):  # scaling's name when it had two values
        rooms["diffusion"]["scaling"] = "none"
    config: Config = from_json(Config, {**value, **rooms})
    return config


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a configuration (as `to_json` made it) by their flags' names; without where data lies."""
    rooms = [value for value in config.values() if isinstance(value, Mapping)]
    rest = {name: value for name, value in config.items() if not isinstance(value, Mapping)}
    return rest | {name: value for room in rooms for name, value in room.items() if name != "data_root"}


def differences(one: Config, other: Config) -> list[str]:
    """The settings in which two configurations differ, as "name: one, other"; where data lies does not count."""
    ours, theirs = flat(to_json(one)), flat(to_json(other))
    return [f"{name}: {ours[name]}, {theirs[name]}" for name in ours if ours[name] != theirs[name]]
