"""The one configuration: the rooms' frozen settings composed, the presets, and the way to JSON and back."""

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from fromnoise.data.settings import NAMED, DataSettings
from fromnoise.diffusion.settings import DiffusionSettings, SamplerSettings
from fromnoise.errors import UserError
from fromnoise.evaluation.settings import EvaluationSettings
from fromnoise.files import check_name, read_json, without_slash
from fromnoise.limits import check_limits
from fromnoise.lookup import lookup
from fromnoise.networks.settings import NetworkSettings
from fromnoise.training.settings import TrainingSettings

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run learns and how it is scored. Where it runs and what it records do not."""

    seed: int = 0
    """Seed of everything random: the subset of --m, weights, batches, noise, samples."""
    data: DataSettings = field(default_factory=DataSettings)
    diffusion: DiffusionSettings = field(default_factory=DiffusionSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    sampling: SamplerSettings = field(default_factory=SamplerSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)


# The lab chapter as written: the text's schedule, variance and loss, with the code's network and optimiser.
CHAPTER = Config(
    data=DataSettings(clusters=0),
    diffusion=DiffusionSettings(schedule="linear", T=500, prediction="eps", levels="uniform"),
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
    ),
    sampling=SamplerSettings(sampler="ancestral", sampling_steps=500, spacing="t"),
)
TINY = Config(
    data=DataSettings(m=200, size="16"),
    network=NetworkSettings(channels=(16, 32)),
    training=TrainingSettings(batch=16, precision="fp32", compile="off", warmup=5),
    sampling=SamplerSettings(sampling_steps=5),
    evaluation=EvaluationSettings(n=100),
)
PRESETS: Mapping[str, Config] = {"fast": Config(), "chapter": CHAPTER, "tiny": TINY}
DEFAULT_BUDGETS: Mapping[str, dict[str, Any]] = {
    "fast": {"minutes": 10.0},
    "chapter": {"epochs": 200.0},
    "tiny": {"steps": 30},
}


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """`config` with some settings changed, by the names of their flags; raises UserError for an unknown name."""
    value = to_json(config)
    homes = {name: room for room in value.values() if isinstance(room, dict) for name in room} | {"seed": value}
    for name, item in settings.items():
        lookup("setting", name, homes)[name] = to_json(item)
    changed: Config = from_json(Config, value)
    return changed


def settled(config: Config, preset_name: str | None) -> Config:
    """`config` ready to train: values in range, the data's name as it is recorded, and exactly one budget.

    A missing budget is the preset's; without a `preset_name` budgets are not checked. Raises UserError.
    """
    if preset_name is not None:
        config = with_budget(config, preset_name)
    if not config.data.data.strip():
        raise UserError("--data is empty: name a data set, a folder or an .npz file")
    check_name(config.data.data)
    check_limits(config)
    name = without_slash(config.data.data)  # photos/ is photos
    if name != config.data.data and name in NAMED:
        name = f"./{name}"  # digits/ is a folder
    return dataclasses.replace(config, data=dataclasses.replace(config.data, data=name))


def folder_for(config: Config, preset_name: str) -> Path:
    """The run folder of a training that names none."""
    name = re.sub(r"[*?]|\{.*\}", "", Path(config.data.data.removeprefix("hf:")).stem).replace("#", "-")
    return Path("runs") / f"{name or 'data'}-{preset_name}"


def with_budget(config: Config, preset_name: str) -> Config:
    """`config` with exactly one budget: its own, or the preset's where it has none.

    Raises UserError for more than one, or one that is not above zero.
    """
    given = [f"--{budget.unit}" for budget in config.training.budgets]
    if len(given) > 1:
        raise UserError(f"give one budget, not {' and '.join(given)}")
    if given:
        return config
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **DEFAULT_BUDGETS[preset_name]))


def to_json(value: Any) -> Any:
    """Settings as plain JSON values, lists for tuples and text for paths."""
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):  # msgspec would leave out what a file lacked and is at its default
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if hasattr(value, "tolist"):  # NumPy's and PyTorch's numbers and arrays
        return value.tolist()
    return msgspec.to_builtins(value) if isinstance(value, msgspec.Struct) else str(value)


def from_json(cls: type[Settings], value: Any) -> Settings:
    """The settings `cls` from what `to_json` made of them.

    Raises UserError, naming it, for a field that is missing, unknown, of another type or out of its range.
    """
    try:
        settings = msgspec.convert(value, cls, dec_hook=lambda kind, item: kind(item))
    except msgspec.ValidationError as error:
        raise UserError(str(error).replace("`$.", "`")) from error
    unknown = set(_names(value)) - set(_names(to_json(settings)))
    if unknown:
        names = f"unknown setting{'s' if len(unknown) > 1 else ''} {', '.join(sorted(unknown))}"
        raise UserError(f"{names}: was this written by another version of fromnoise?")
    check_limits(settings, lambda name: name)
    return settings


def read(path: Path, cls: type[Settings], name: str | None = None) -> Settings:
    """The settings `cls` in the JSON file `path`, or in its field `name`.

    Raises UserError as `read_json` and `from_json` do.
    """
    value = read_json(path)
    try:
        return from_json(cls, value if name is None else value.get(name))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _names(value: Any, place: str = "") -> Iterator[str]:
    """The names of all fields within a JSON value, each with those that it is within: training.lr."""
    for name, item in value.items() if isinstance(value, Mapping) else ():
        yield f"{place}{name}"
        yield from _names(item, f"{place}{name}.")
    for item in value if isinstance(value, list | tuple) else ():
        yield from _names(item, place)


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a configuration (as `to_json` made it) by their flags' names."""
    rooms = [value for value in config.values() if isinstance(value, Mapping)]
    rest = {name: value for name, value in config.items() if not isinstance(value, Mapping)}
    return rest | {name: value for room in rooms for name, value in room.items()}


def differences(one: Config, other: Config) -> list[str]:
    """The settings in which two configurations differ, as "name: one, other"."""
    ours, theirs = flat(to_json(one)), flat(to_json(other))
    return [f"{name}: {ours[name]}, {theirs[name]}" for name in ours if ours[name] != theirs[name]]
