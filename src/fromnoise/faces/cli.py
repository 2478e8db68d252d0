"""`fromnoise COMMAND ...`: finds the command, and turns errors into sentences and exit codes.

0 done, 1 a bug (with its traceback), 2 something the user can put right, 130 stopped by Ctrl-C.
"""

import errno
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from fromnoise import __version__
from fromnoise.errors import UserError

# command -> (module in faces/commands, what it does)
COMMANDS = {
    "run": ("run", "train, sample and score, from data to report"),
    "train": ("train", "train a model, or go on where a training stopped"),
    "sample": ("sample", "draw images from a trained model"),
    "evaluate": ("evaluate", "score any images against real ones, and test them for copies"),
    "compare": ("compare", "runs side by side, in a table and on one page"),
    "likelihood": ("likelihood", "how likely a model thinks images are, in bits per dimension"),
    "lab": ("lab", "all figures of the lab, from one Gaussian to a bag of digits, on one page"),
    "data": ("data", "write a data set as PNG files"),
    "export": ("export", "write a model's denoiser as ONNX"),
    "ui": ("ui", "a page on this machine to draw images by hand"),
    "doctor": ("doctor", "what this machine has: device, precision, compiler, data"),
}
EXAMPLES = """\
examples:
  fromnoise run --data digits --out runs/digits --minutes 10
  fromnoise sample runs/digits --n 64 --out digits.png
  fromnoise train --data photos/ --size 32 --out runs/photos
  fromnoise evaluate --generated digits.npz --reference digits:heldout
"""


def usage() -> str:
    """The top-level help."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fromnoise COMMAND [OPTIONS]",
            "",
            "From a set of small images to a generative diffusion model with an honest score.",
            "",
            "commands:",
            *lines,
            "",
            EXAMPLES,
            "`fromnoise COMMAND --help` tells a command's options; `fromnoise --version` the version.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(lambda: _answer(words))


def script(work: Callable[[Any], None], settings: type, description: str | None) -> NoReturn:
    """The end of a script: `work`, told the `settings` of the command line, with the errors and exit codes of above."""
    import tyro

    def run() -> int:
        work(tyro.cli(settings, description=description))
        return 0

    sys.exit(_guarded(run))


def _guarded(work: Callable[[], int]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # ± and ∞ where the encoding has none
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()  # here a reader that has gone is noticed, and not at Python's end
    except UserError as error:
        print(f"{_name()}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # `fromnoise ... | head` is no error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        nameless = error.errno == errno.ENOSPC and error.filename is None  # files are named by those who write them
        print(f"{_name()}: {'standard output: ' * nameless}{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        if _name() == "fromnoise":
            print(f"fromnoise: {str(interrupt) or 'stopped'}", file=sys.stderr)
        return 130


def _name() -> str:
    """Who speaks: of several processes all but the first say which they are."""
    rank = os.environ.get("RANK", "0")
    return "fromnoise" if rank == "0" else f"fromnoise (process {rank})"


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"fromnoise {__version__}")
        return 0
    if words[0] not in COMMANDS:
        raise UserError(f"unknown command '{words[0]}'; choose one of: {', '.join(COMMANDS)}")
    module = importlib.import_module(f"fromnoise.faces.commands.{COMMANDS[words[0]][0]}")
    code: int = module.main(words[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
