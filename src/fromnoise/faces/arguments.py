"""Command lines from frozen dataclasses: one source of truth for flags, defaults, help and configuration."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from fromnoise.config import PRESETS, SUMMARIES, Config, check_ranges, preset, with_budget
from fromnoise.errors import UserError

Arguments = TypeVar("Arguments")
Device = Literal["auto", "cpu", "cuda", "mps"]


def parse(cls: type[Arguments], words: Sequence[str], command: str, default: Arguments | None = None) -> Arguments:
    """The arguments of `fromnoise COMMAND` as a `cls`; prints help or errors and exits as argparse does."""
    return tyro.cli(  # type: ignore[return-value]
        cls,
        prog=f"fromnoise {command}",
        description=cls.__doc__,
        args=list(words),
        default=default,
        config=(tyro.conf.OmitArgPrefixes,),
    )


@dataclasses.dataclass(frozen=True)
class TrainingArguments:
    """What `run` and `train` are told."""

    preset: Literal["fast", "chapter", "tiny"] = "fast"
    """Where the settings start; every flag overrides one of them."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run folder: made, or gone on with if it holds the same run; runs/NAME-PRESET when not given."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the whole configuration as JSON and do nothing."""
    config: Config = dataclasses.field(default_factory=Config)


def parse_training(cls: type[TrainingArguments], words: Sequence[str], command: str) -> TrainingArguments:
    """`parse` in two passes: the preset first, then all flags over it as default."""
    name = _preset_name(words)
    arguments = parse(cls, words, command, cls(preset=name, config=preset(name)))  # type: ignore[arg-type]
    config = with_budget(arguments.config, arguments.preset)
    check_ranges(config)
    out = arguments.out or Path("runs") / f"{_name(config.data.data)}-{arguments.preset}"
    return dataclasses.replace(arguments, config=config, out=out)


def presets_help() -> str:
    """A line for each preset."""
    return "\n".join(f"  {name}: {SUMMARIES[name]}" for name in PRESETS)


def _preset_name(words: Sequence[str]) -> str:
    for k, word in enumerate(words):
        if word == "--preset" and k + 1 < len(words):
            return _known(words[k + 1])
        if word.startswith("--preset="):
            return _known(word.removeprefix("--preset="))
    return "fast"


def _known(name: str) -> str:
    preset(name)
    return name


def _name(data: str) -> str:
    return Path(data).stem or "data"


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Raise UserError when `path` is there and may not be replaced."""
    if path.exists() and not overwrite:
        raise UserError(f"{path} is already there; name another, or add --overwrite")


def interactive() -> bool:
    """Whether somebody watches stderr, so that a progress bar makes sense."""
    return sys.stderr.isatty()
