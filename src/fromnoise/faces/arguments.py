"""Command lines from frozen dataclasses: one source of truth for flags, defaults, help and configuration."""

import contextlib
import dataclasses
import functools
import inspect
import io
import itertools
import operator
import re
import shutil
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import tyro
from tyro import constructors as make
from tyro.conf import FlagCreatePairsOff, Positional, arg

from fromnoise.config import PRESETS, Config, folder_for, read, settled
from fromnoise.data.settings import check_suffix
from fromnoise.errors import UserError
from fromnoise.files import check_new_folder, check_writable, missing_hint
from fromnoise.limits import check_limits
from fromnoise.lookup import lookup
from fromnoise.say import reporting_to
from fromnoise.training.settings import UNITS, Budget, Recording

if TYPE_CHECKING:
    from fromnoise.experiment.train import Experiment

Arguments = TypeVar("Arguments")
FRAME = " │╭╮╰╯─|+"  # around tyro's boxes, on terminals of either kind
RULES = make.ConstructorRegistry()  # how the help differs from tyro's own
PLAIN = {  # Python's and tyro's words, a pattern -> words for users
    r"invalid literal for int\(\) with base 10: (.*)": r"\1 is not a whole number",
    "could not convert string to float: (.*)": r"\1 is not a number",
    r"Could not (parse|find valid parse for) arguments:? (\[.*?\]).*": r"\2 are not the numbers it takes",
    r"\. Expected 1 values\.": "",
    r"Missing value for argument '(--[a-z-]+).*": r"\1 needs a value (one that begins with - is written \1=-…)",
    r"no type matching (.*) could be instantiated from (.*)\.": r"expected \1, not \2",
}
UNSAID = arg(help_behavior_hint="")  # without "(default: ...)"

# Arguments that several commands share.
File = Annotated[Path | None, arg(metavar="FILE")]
ModelSource = Annotated[
    Positional[Path],
    arg(
        metavar="RUN",
        help="A run folder, a checkpoint in it, a model.safetensors file, digits, clipart or clipart64.",
    ),
]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    arg(metavar="DEVICE", help="Where to compute: cpu, cuda, mps or auto (a GPU if there is one)."),
]
Threads = Annotated[
    int | None,
    arg(metavar="N", help="CPU threads; default: all, and fewer while other processes are busy."),
]
SkipBroken = Annotated[bool, arg(help="Skip unreadable images, and say how many.")]
FailOn = Annotated[
    str | None,
    arg(
        metavar="VERDICTS",
        help="Write all results, then exit with code 3 if any of these verdicts (separated by commas) fails: close, "
        "told-apart, copying, repeats, overfitting, overlap, classes. A test that was not run "
        "counts as failed, and so does one that could not decide, except for overfitting and overlap.",
    ),
]
Overwrite = Annotated[bool, arg(help="Replace existing files.")]


@RULES.primitive_rule
def _optional(
    info: make.PrimitiveTypeInfo,
) -> make.PrimitiveConstructorSpec[Any] | make.UnsupportedTypeAnnotationError | None:
    """`X | None` is shown as X; the word None is still understood."""
    kinds = get_args(info.type)
    if NoneType not in kinds:
        return None
    given = functools.reduce(operator.or_, (kind for kind in kinds if kind is not NoneType))
    spec = RULES.get_primitive_spec(make.PrimitiveTypeInfo.make(given, info.markers))
    if isinstance(spec, make.UnsupportedTypeAnnotationError):
        return spec
    return dataclasses.replace(
        spec,
        instance_from_str=lambda words: None if words == ["None"] else spec.instance_from_str(words),
        str_from_instance=lambda value: [] if value is None else spec.str_from_instance(value),
    )


@RULES.struct_rule
def _fields(info: make.StructTypeInfo) -> make.StructConstructorSpec | None:
    """tyro's fields: the required first, those of every command last, and no default that is None or off."""
    if not dataclasses.is_dataclass(info.type) or _fields in info.markers:
        return None
    spec = RULES.get_struct_spec(dataclasses.replace(info, markers=(*info.markers, _fields)))
    assert isinstance(spec, make.StructConstructorSpec)

    off = {field.name for field in dataclasses.fields(info.type) if field.default is False}  # whatever a preset says

    def shown(field: make.StructFieldSpec) -> make.StructFieldSpec:
        kind: Any = field.type
        if field.name in off:
            kind = Annotated[kind, FlagCreatePairsOff, UNSAID]
        elif field.default in (None, ()):
            kind = Annotated[kind, UNSAID]
        return dataclasses.replace(field, type=kind, helptext=lambda: _one_line(field.helptext))

    def place(field: make.StructFieldSpec) -> int:
        return (field.default is not make.MISSING_NONPROP) + (field.name in ("device", "threads", "overwrite"))

    return dataclasses.replace(spec, fields=tuple(map(shown, sorted(spec.fields, key=place))))


def _one_line(text: str | Callable[[], str | None] | None) -> str | None:
    said = text() if callable(text) else text
    return " ".join(said.split()) if said else None


def parse(cls: type[Arguments], words: Sequence[str], command: str, default: Arguments | None = None) -> Arguments:
    """The arguments of `fromnoise COMMAND` as a `cls`.

    Prints help and exits where it is asked for; raises UserError, one line, for words that do not fit and for
    numbers out of range; those over a `default` are checked once they are settled.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            arguments: Arguments = tyro.cli(  # type: ignore[assignment]
                cls,
                prog=f"fromnoise {command}",
                description=_description(cls),
                args=list(words),
                default=default,
                config=(tyro.conf.OmitArgPrefixes,),
                registry=RULES,
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        plain = re.sub(r"\x1b\[[\d;]*m", "", complaint.getvalue())  # on a terminal tyro writes in colours
        raise UserError(f"{_first_sentence(plain)} (fromnoise {command} --help)") from None
    if default is None:
        check_limits(arguments)
    return arguments


class _Laid(str):
    """Text whose lines tyro does not join, since it finds only one."""

    def split(self, *_: object) -> list[str]:
        return [self]


def _description(cls: type) -> str:
    """The docstring of `cls` with its paragraphs filled to the terminal's width, and its examples indented."""
    width = min(shutil.get_terminal_size().columns, 120)
    paragraphs = (inspect.getdoc(cls) or "").split("\n\n")
    laid = (
        textwrap.indent(text, "  ") if text.startswith("fromnoise ") else textwrap.fill(text, width)
        for text in paragraphs
    )
    return _Laid("\n\n".join(laid))


def _first_sentence(box: str) -> str:
    """The text of tyro's error box, without its title, as one line; with tyro's guess at what was meant."""
    lines = [line.strip(FRAME) for line in box.splitlines()]
    below = itertools.dropwhile(lambda line: not line.strip("-"), lines[1:])
    said = " ".join(itertools.takewhile(lambda line: line.strip("-"), below))
    if said.startswith("Missing from"):  # names are indented by four, their help by eight
        sections = re.split("Unrecognized options:|For full helptext", box)[:-1]
        names = [[line.strip(FRAME) for line in re.findall(r"^.\s{5}(\S.*)", each, re.M)] for each in sections]
        missing = f"missing: {', '.join(names[0])}"
        return f"{missing}; unrecognized: {' '.join(names[1])}" if names[1:] else missing
    for theirs, ours in PLAIN.items():
        said = re.sub(theirs, ours, said)
    guesses = [line.split()[0] for line in lines if line.startswith("--") and line.strip("-")]
    return f"{said}; did you mean {guesses[0]}?" if guesses and said.startswith("Unrecognized") else said


@dataclasses.dataclass(frozen=True)
class TrainingArguments:
    """Arguments of `run` and `train`."""

    preset: Literal["fast", "chapter", "tiny"] = "fast"
    """fast: a good model in minutes on two cores. chapter: the recipe of the lab's chapter (UNet2DModel, 200 epochs).
    tiny: a few seconds, to try things out. All other flags override the preset."""
    out: Annotated[Path | None, arg(metavar="DIR")] = None
    """The run folder, created or resumed; default: runs/DATA-PRESET."""
    device: Device = "auto"
    threads: Threads = None
    weights: File = None
    """Weights file for --features inception or dinov2; default: the published ones, downloaded if missing."""
    skip_broken: SkipBroken = False
    dry_run: bool = False
    """Print the whole configuration as JSON and exit."""
    config: Annotated[Config, arg(name="")] = dataclasses.field(default_factory=Config)
    recording: Recording = dataclasses.field(default_factory=Recording)
    extension: Annotated[Budget | None, tyro.conf.Suppress] = None
    """--minutes +20, --epochs +5 or --steps +500."""

    def experiment(self) -> "Experiment":
        """The experiment they describe; `parse_training` has filled in `out`."""
        from fromnoise.experiment.train import Experiment

        assert self.out is not None
        where = self.config, self.out, self.device, self.threads, self.weights, self.extension
        return Experiment(*where, self.recording, self.skip_broken)


TrainingKind = TypeVar("TrainingKind", bound=TrainingArguments)


def parse_training(cls: type[TrainingKind], words: Sequence[str], command: str) -> TrainingKind:
    """`parse` in two passes: the preset first, then all flags over it as default.

    An extension (`--minutes +20`) takes the run's own budget from its folder, which must exist.
    """
    name = _split("--preset", words)[0] or "fast"
    words, extension = _extension(words)
    usual = cls(preset=name, config=lookup("preset", name, PRESETS))  # type: ignore[arg-type]
    arguments = parse(cls, words, command, usual)
    config = settled(arguments.config, None if extension else arguments.preset)
    out = arguments.out or folder_for(config, arguments.preset)
    if extension is not None:
        config = _with_budget_of(out, config, extension)
    return dataclasses.replace(arguments, config=config, out=out, extension=extension)


def call(main: Callable[[Any], None], words: Sequence[str], command: str) -> None:
    """Parse a command's words as the class that its `main` takes, and run it."""
    cls = main.__annotations__["arguments"]
    arguments = (parse_training if issubclass(cls, TrainingArguments) else parse)(cls, words, command)
    from fromnoise.faces.console import TERMINAL  # takes a moment to import, which `--help` should not wait for

    with reporting_to(TERMINAL):
        main(arguments)


def _split(flag: str, words: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of the last `--flag VALUE` or `--flag=VALUE` (None without one), and the other words."""
    for k, word in reversed(list(enumerate(words))):
        name, equals, value = word.partition("=")
        if name == flag:
            after = k + 1 if equals else k + 2
            return value if equals else "".join(words[k + 1 : after]), [*words[:k], *words[after:]]
    return None, list(words)


def _extension(words: Sequence[str]) -> tuple[list[str], Budget | None]:
    """The words without `--minutes +20` (or --epochs, --steps), and that; raises UserError for no number after +."""
    for unit in UNITS:
        value, others = _split(f"--{unit}", words)
        if value is not None and value.startswith("+"):
            try:
                amount = int(value) if unit == "steps" else float(value)
            except ValueError:
                raise UserError(f"--{unit} {value}: expected a number of {unit} after the +") from None
            return others, Budget(unit, amount)
    return list(words), None


def _with_budget_of(out: Path, config: Config, extension: Budget) -> Config:
    """`config` with the budget that the run in `out` began with."""
    flag = f"--{extension.unit} +{extension.amount:g}"
    if given := config.training.budgets:
        raise UserError(f"give one budget, not {flag} and --{given[0].unit}")
    file = out / "config.json"
    if not file.is_file():
        raise UserError(
            f"{flag} extends a finished run, but {out} is not a run: name the run with --out{missing_hint(out)}"
        )
    training = read(file, Config, "config").training
    budgets = {unit: getattr(training, unit) for unit in UNITS}
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **budgets))


def refuse_existing(overwrite: bool, *paths: Path | None) -> None:
    """Raise UserError when a path, of those given, exists and may not be replaced, or cannot be written."""
    for path in filter(None, paths):
        if path.is_dir():
            raise UserError(f"{path} is a folder: name a file")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{path} is a link or a device, which is never replaced: name a regular file")
        if path.exists() and not overwrite:
            raise UserError(f"{path} already exists; choose another name or add --overwrite")
        check_writable(path)


def refuse_unwritable_images(out: Path, overwrite: bool) -> None:
    """Raise UserError unless images can be written to `out`: a .png, an .npz or a new folder."""
    check_suffix(out)
    if str(out) == "-":
        raise UserError("--out -: images go to a .png, an .npz or a folder, not to stdout")
    if out.suffix.lower() in (".png", ".npz"):
        refuse_existing(overwrite, out)
    else:
        check_new_folder(out)
