"""`fromnoise COMMAND ...`: finds the command, and turns errors into sentences and exit codes.

0 done, 1 a bug (with its traceback), 2 something the user can put right, 3 a check that was asked for failed
(--fail-on, --again), 130 stopped, as by Ctrl-C.
"""

import codecs
import contextlib
import errno
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from fromnoise import __version__
from fromnoise.errors import UserError
from fromnoise.lookup import lookup

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# command (a module in faces/commands) -> what it does
COMMANDS = {
    "run": "train, sample and score, from data to report",
    "train": "train a model, or resume its training",
    "sample": "sample images from a trained model",
    "vary": "make variants of an image",
    "inpaint": "fill in part of an image",
    "upscale": "enlarge an image of half the model's size",
    "interpolate": "blend one image into another, step by step",
    "evaluate": "score any images against real ones, and test them for copies",
    "augment": "sample images to train a classifier on, and measure its gain",
    "compare": "compare runs, in a table or on a page",
    "likelihood": "compute images' likelihood under a model, in bits per dimension",
    "lab": "make a page, handouts or slides from the lab's notebooks",
    "data": "write a data set as PNG files, or show what is in it",
    "export": "export a model's denoiser as ONNX",
    "ui": "sample interactively, on a local web page",
    "doctor": "show what this machine offers: device, precision, compiler, data",
}
USAGE = """\
usage: fromnoise COMMAND [OPTIONS]

From a set of small images to a generative diffusion model with an honest score.

commands:
{commands}

examples:
  fromnoise run --data digits --out runs/digits --minutes 10
  fromnoise sample runs/digits --n 64 --out digits.png
  fromnoise train --data photos/ --size 32 --out runs/photos
  fromnoise evaluate --generated digits.npz --reference digits:heldout

`fromnoise COMMAND --help` shows a command's options,
`fromnoise --version` the version."""

MEMORY = re.compile("out of memory|can't allocate memory|not enough memory")  # the last on Windows
SPELT = {"✓": "+", "−": "-", "–": "-", "→": "->", "×": "x", "±": "+/-", "≤": "<=", "≥": ">=", "…": "...", "∞": "inf"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(lambda: _answer(words))


def start() -> NoReturn:
    """`main` as a program of its own.

    One of several processes ends without Python's clean-up. gloo's threads outlive their process group, and one that
    asks for the GIL during the clean-up aborts the program (https://github.com/pytorch/pytorch/pull/179291).
    """
    for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if "RANK" not in os.environ else ():  # each system has some of them
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C: nothing half-written is left
    code = main()
    if "RANK" in os.environ:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # `main` has reported it
                stream.flush()
        os._exit(code)
    sys.exit(code)


def script(work: Callable[[Any], None], settings: type, description: str | None) -> NoReturn:
    """Run a script's `work` on the `settings` of its command line, with the errors and exit codes above."""
    import tyro

    from fromnoise.faces.arguments import RULES

    def run() -> int:
        work(tyro.cli(settings, description=description, registry=RULES))
        return 0

    sys.exit(_guarded(run))


def _answer(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE.format(commands="\n".join(f"  {name:<12}{summary}" for name, summary in COMMANDS.items())))
        return 0 if words else 2
    if words[0] in ("-V", "--version"):
        print(f"fromnoise {__version__}")
    else:
        lookup("command", words[0], COMMANDS)
        from fromnoise.faces.arguments import call

        main = importlib.import_module(f"fromnoise.faces.commands.{words[0]}").main
        if words[0] == "data":  # has two commands of its own
            main(words[1:])
        else:
            call(main, words[1:], words[0])
    return 0


def _guarded(work: Callable[[], int]) -> int:
    if sys.stdout is sys.__stdout__:
        sys.stdout = _output(sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _output(sys.stderr)
    rank = os.environ.get("RANK", "0")
    name = "fromnoise" if rank == "0" else f"fromnoise (process {rank})"
    try:
        try:
            return work()
        finally:
            sys.stdout.flush()  # here a full disk is noticed, and not at Python's end
    except UserError as error:
        from fromnoise.faces.console import errors

        errors.sentence(f"{name}: {error}")
        return error.code
    except OSError as error:
        from fromnoise.faces.console import printable

        said = printable(str(error))
        if error.filename is None:  # files are named by those who write them
            gone = "the current folder no longer exists: change to another"
            said = {errno.ENOSPC: f"standard output: {error}", errno.ENOENT: gone}.get(error.errno or 0, said)
        print(f"{name}: {said}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not MEMORY.search(str(error)):
            raise
        said = str(error).partition("\n")[0] or "the system gave no more"
        advice = "use fewer or smaller images; to train, a smaller --batch or --channels"
        print(f"{name}: not enough memory ({said}): {advice}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        if rank == "0":
            print(f"{name}: {str(interrupt) or 'stopped'}", file=sys.stderr)
        return 130


class _Patient(io.FileIO):
    """Output whose reader may leave: after `fromnoise ... | head` the work goes on, to its files and exit code."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for all that follows
            if isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL):
                return super().write(data)
            raise


def _output(stream: TextIO | None) -> TextIO | None:
    """`stream`, made safe for a reader that leaves, and for characters that its encoding lacks (`_spelt`).

    A stream that was closed before the start (`>&-`), which is None, becomes one that nobody reads.
    """
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    if stream.isatty():
        stream.reconfigure(errors="spelt")
        return stream
    stream.flush()
    patient = io.BufferedWriter(_Patient(stream.fileno(), "w", closefd=False))
    by_line = stream.line_buffering or stream.write_through
    return io.TextIOWrapper(patient, stream.encoding, "spelt", line_buffering=by_line)


def _spelt(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that an encoding lacks: "?" only where nothing is like them.

    On Windows a pipe's encoding lacks ✓, and "?" would read as the mark of an undecided verdict.
    """
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(SPELT.get(character, "?") for character in lacking), error.end


codecs.register_error("spelt", _spelt)
