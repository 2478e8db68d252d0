"""Progress, messages and tables. Everything but results goes to stderr, so that results can be piped."""

import os
import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fromnoise.experiment import progress

PLAIN_SECONDS = 15.0  # between lines where there is no terminal
WIDE = 1000  # columns where no terminal limits them


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever prints, as for all other output: rich would end the process with code 1."""
        raise


errors = _Console(stderr=True, highlight=False, emoji=False)  # photos:train: is no tram
results = _Console(
    highlight=False, emoji=False, width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else WIDE
)


def say(text: str) -> None:
    """Print a message to stderr."""
    errors.print(text, markup=False, soft_wrap=True)


class Bar(progress.Bar):
    """A progress bar with the time left; on a pipe or in a log file, a line now and then."""

    def __init__(self, title: str) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA {task.fields[eta]}"),
            console=errors,
            transient=True,
        )
        self.watched = sys.stderr.isatty()
        self.printed = time.perf_counter()
        self.task: TaskID | None = None
        self.turn(title)

    def __enter__(self) -> Self:
        self.turn(self.title)
        if self.watched:
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.watched:
            self.bar.stop()

    def turn(self, title: str) -> None:
        """Start over under another title."""
        self.title = title
        self.start = time.perf_counter()
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task(title, total=None, note="", eta="?")

    def show(self, done: int, total: int | None, note: str = "", remaining: float | None = None) -> None:
        """Show how far the work is; unless given, the time left is estimated from the time spent."""
        now = time.perf_counter()
        if remaining is None and done and total:
            remaining = (now - self.start) / done * (total - done)
        eta = "?" if remaining is None else progress.duration(remaining)
        if self.watched and self.task is not None:
            self.bar.update(self.task, completed=done, total=total, note=note, eta=eta)
        elif now - self.printed >= PLAIN_SECONDS:
            self.printed = now
            say(f"{self.title}: {done:,}/{f'{total:,}' if total else '?'} {note} ETA {eta}")


TERMINAL = progress.Reporter(say, Bar)
"""Shows a run on stderr."""
