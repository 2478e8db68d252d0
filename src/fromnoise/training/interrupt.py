"""Ctrl-C that saves and leaves cleanly."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training stopped on request, with everything saved; says where."""


class _BrokenOff(KeyboardInterrupt):
    """Ends a block of `InterruptGuard.breaking_off`."""


class InterruptGuard:
    """A block in which the first Ctrl-C (or SIGTERM) is only noted, in `asked`; a second one stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._breaking = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "InterruptGuard":
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread: whoever runs us there handles signals
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def breaking_off(self) -> Iterator[None]:
        """A block of work that the training can do without: the first Ctrl-C, noted too, ends it early."""
        self._breaking = True
        try:
            yield
        except _BrokenOff:
            pass
        finally:
            self._breaking = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        if self._breaking:
            raise _BrokenOff
