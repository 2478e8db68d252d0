"""Command lines from frozen dataclasses: one source of truth for flags, defaults, help and configuration."""

import contextlib
import dataclasses
import io
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import tyro

from fromnoise.config import Config, check_ranges, preset, with_budget
from fromnoise.errors import UserError
from fromnoise.files import check_writable

Arguments = TypeVar("Arguments")
FRAME = " │╭╮╰╯─|+"  # around tyro's boxes, on terminals of either kind
Device = Literal["auto", "cpu", "cuda", "mps"]


def parse(cls: type[Arguments], words: Sequence[str], command: str, default: Arguments | None = None) -> Arguments:
    """The arguments of `fromnoise COMMAND` as a `cls`.

    Prints help and exits where it is asked for; raises UserError, one line, for words that do not fit.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return _parse(cls, words, command, default)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{_first_sentence(complaint.getvalue())} (fromnoise {command} --help)") from None


def _first_sentence(box: str) -> str:
    """What tyro's box of an error says below its title, as one line; with its guess at what was meant."""
    lines = [line.strip(FRAME) for line in box.splitlines()]
    below = itertools.dropwhile(lambda line: not line.strip("-"), lines[1:])
    said = " ".join(itertools.takewhile(lambda line: line.strip("-"), below))
    guesses = [line.split()[0] for line in lines if line.startswith("--") and line.strip("-")]
    return f"{said}; did you mean {guesses[0]}?" if guesses and said.startswith("Unrecognized") else said


def _parse(cls: type[Arguments], words: Sequence[str], command: str, default: Arguments | None) -> Arguments:
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
    """fast: a good model in minutes on two cores. chapter: the lab chapter as written (UNet2DModel, T = 500, 200
    epochs). tiny: seconds, for trying things out. Every other flag goes over the preset."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The run folder: made, or gone on with if it holds the same run; runs/NAME-PRESET when not given."""
    device: Device = "auto"
    """Where to compute; auto takes a GPU if there is one."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print the whole configuration as JSON and do nothing."""
    config: Config = dataclasses.field(default_factory=Config)


TrainingKind = TypeVar("TrainingKind", bound=TrainingArguments)


def parse_training(cls: type[TrainingKind], words: Sequence[str], command: str) -> TrainingKind:
    """`parse` in two passes: the preset first, then all flags over it as default."""
    name = _preset_name(words)
    arguments = parse(cls, words, command, cls(preset=name, config=preset(name)))  # type: ignore[arg-type]
    config = with_budget(arguments.config, arguments.preset)
    if not config.data.data.strip():
        raise UserError("--data is empty: name a data set, a folder or an .npz file")
    check_ranges(config)
    name = config.data.data.rstrip("/") or "/"  # photos/ is photos
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, data=name))
    out = arguments.out or Path("runs") / f"{_name(config.data.data)}-{arguments.preset}"
    return dataclasses.replace(arguments, config=config, out=out)


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
    """Raise UserError when `path` is there and may not be replaced, or cannot be written."""
    if path.is_dir():
        raise UserError(f"{path} is a folder: name a file")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is already there; name another, or add --overwrite")
    check_writable(path)


def folder_is_new(path: Path) -> None:
    """Raise UserError unless `path` is free, or an empty folder, and can be written."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise UserError(f"{path} is already there; name a new folder")
    check_writable(path)
