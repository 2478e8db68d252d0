"""Progress, messages and tables. Everything but results goes to stderr, so that results can be piped."""

import os
import re
import sys
import textwrap
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fromnoise import say as reports
from fromnoise.say import Reporter, duration

PLAIN_SECONDS = 15.0  # between lines where there is no terminal
ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters of control, ends of lines and turns of direction."""
WIDE = 1000  # columns where no terminal limits them


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever prints, as for all other output: rich would end the process with code 1."""
        raise

    def sentence(self, text: str) -> None:
        """Print a sentence; on a terminal, its lines break between words, but not within `commands`, to be copied."""
        if not self.width:  # COLUMNS=0, at which rich prints nothing
            self.width = 80
        text = "\n  ".join(map(printable, text.split("\n  ")))  # lists of files are indented
        if self.file.isatty():
            whole = re.sub("`[^`]*`", lambda command: command[0].replace(" ", "\xa0"), text)
            text = "\n".join(_folded(line, self.width) for line in whole.splitlines()).replace("\xa0", " ")
        self.print(text, markup=False, soft_wrap=True)


def printable(text: str) -> str:
    """`text` in one line, with escapes for what a terminal would obey: names in others' files may hold anything."""
    return ODD.sub(lambda found: ascii(found[0])[1:-1], text)


def _folded(line: str, width: int) -> str:
    """A line as several, all indented as it is."""
    indent = line[: len(line) - len(line.lstrip())]
    folded = textwrap.TextWrapper(width, indent, indent, break_long_words=False, break_on_hyphens=False)
    return folded.fill(line.lstrip())


errors = _Console(stderr=True, highlight=False, emoji=False)  # photos:train: is no tram
results = _Console(
    highlight=False, emoji=False, width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDE
)


def say(text: str) -> None:
    """Print a message to stderr."""
    errors.sentence(text)


class Bar(reports.Bar):
    """A progress bar with the time left; on a pipe, in a log file or on a dumb terminal, a line now and then."""

    def __init__(self, title: str) -> None:
        self.title = title
        done = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}")
        times = TimeElapsedColumn(), TextColumn("ETA {task.fields[eta]}")
        self.bar = Progress(*done, *times, console=errors, transient=True)
        self.watched = sys.stderr.isatty() and not errors.is_dumb_terminal  # on which nothing moves

    def __enter__(self) -> Self:
        self.start = self.printed = time.perf_counter()
        self.task = self.bar.add_task(self.title, total=None, note="", eta="?")
        if self.watched:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.watched:
            self.bar.stop()

    def show(self, done: int, total: int | None, note: str = "", remaining: float | None = None) -> None:
        """Show how far the work is; unless given, the time left is estimated from the time spent."""
        now = time.perf_counter()
        if remaining is None and done and total:
            remaining = (now - self.start) / done * (total - done)
        eta = "?" if remaining is None else duration(remaining)
        if self.watched:
            self.bar.update(self.task, completed=done, total=total, note=note, eta=eta)
        elif now - self.printed >= PLAIN_SECONDS:
            self.printed = now
            say(f"{self.title}: {done:,}/{f'{total:,}' if total else '?'} {note} ETA {eta}")


TERMINAL = Reporter(say, Bar)
"""Shows all on stderr."""
