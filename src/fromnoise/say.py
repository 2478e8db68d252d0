"""What work reports while it goes on: sentences worth reading, and bars of how much is done.

Anybody may `say` something or open a `bar`; whoever listens is named by `reporting_to`. Without that, work is silent.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Self, TypeVar

Item = TypeVar("Item")


class Bar:
    """How far the work within its block is; this one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def show(self, done: int, total: int | None, note: str = "", remaining: float | None = None) -> None:
        """So much is done; `remaining` seconds are estimated when not given."""


def silent(line: str) -> None:
    """Say nothing."""


def hidden(title: str) -> Bar:
    """A bar that shows nothing."""
    return Bar()


@dataclass
class Reporter:
    """A listener: what it does with a sentence, and the bar that it shows for a piece of work of this title."""

    say: Callable[[str], None] = silent
    bar: Callable[[str], Bar] = hidden
    _said: set[str] = field(default_factory=set, init=False)
    _busy: bool = field(default=False, init=False)


_nobody = Reporter()
_listening: ContextVar[Reporter] = ContextVar("listening", default=_nobody)


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Within it `reporter` hears what is said, each sentence once."""
    token = _listening.set(Reporter(reporter.say, reporter.bar))
    try:
        yield
    finally:
        _listening.reset(token)


@contextmanager
def captured() -> Iterator[list[str]]:
    """Gives the list of what is said within it, which nobody else hears; bars are shown as before."""
    lines, here = list[str](), _listening.get()
    with reporting_to(Reporter(lines.append) if here._busy else Reporter(lines.append, here.bar)):
        yield lines


def mute() -> None:
    """From here on nobody hears what is said, until the end of `reporting_to`."""
    _listening.set(Reporter())


def say(line: str) -> None:
    """Say a sentence, unless it was said before."""
    here = _listening.get()
    if line not in here._said:
        here._said.add(line)
        here.say(line)


@contextmanager
def bar(title: str) -> Iterator[Bar]:
    """A bar for the work within it. Of bars within each other only the outermost is shown."""
    here = _listening.get()
    if here._busy:
        yield Bar()
        return
    here._busy = True
    try:
        with here.bar(title) as shown:
            yield shown
    finally:
        here._busy = False


def counted(items: Iterable[Item], title: str, total: int) -> Iterator[Item]:
    """The items, with a bar of how many of them are done."""
    with bar(title) as shown:
        for done, item in enumerate(items, start=1):
            yield item
            shown.show(done, total)


def plural(n: int, what: str) -> str:
    """1 image, 2 images."""
    return f"{n:,} {what}{'s' * (n != 1)}"


def duration(seconds: float) -> str:
    """Seconds for people to read: 42 s, 3:07, 1:02:03."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
