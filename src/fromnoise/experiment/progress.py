"""How a run reports while it works. A face hands in how that is shown; without one a run is silent."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from fromnoise.say import Say, silent


class Bar:
    """How far the work within its block is; this one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def show(self, done: int, total: int | None, note: str = "", remaining: float | None = None) -> None:
        """So much is done; `remaining` seconds are estimated when not given."""

    def turn(self, title: str) -> None:
        """Other work begins, under this title."""


@dataclass(frozen=True)
class Reporter:
    """Whoever watches a run: how to say a sentence worth reading, and to show a bar for one piece of work."""

    say: Say = silent
    bar: Callable[[str], Bar] = lambda title: Bar()


SILENT = Reporter()


def stages(bar: Bar) -> Callable[[str, int, int], None]:
    """What shows a score's (stage, done, all) in the bar, where each stage has its own title and time left."""
    shown = ""

    def show(stage: str, done: int, total: int) -> None:
        nonlocal shown
        if stage != shown:
            bar.turn(f"scoring, {stage}")
            shown = stage
        bar.show(done, total)

    return show


def once(say: Say) -> Say:
    """`say` for sentences that may come up more than once."""
    said: set[str] = set()

    def tell(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return tell


def duration(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3:07, 1:02:03."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
