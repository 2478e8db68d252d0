"""Ctrl-C that saves and leaves cleanly."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Interrupted(KeyboardInterrupt):
    """Training stopped on request, with everything saved; says where."""


class _BrokenOff(KeyboardInterrupt):
    """Ends the work of `InterruptGuard.unless_stopped`."""


class InterruptGuard:
    """A block in which the first Ctrl-C is only noted, in `stop_requested`; a second one stops at once.

    SIGTERM counts as Ctrl-C. So do Windows' Ctrl-Break, and SIGHUP, as when a connection breaks, unless `nohup` has it
    ignored.
    """

    def __init__(self) -> None:
        self.stop_requested = False
        self._breaking = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "InterruptGuard":
        numbers = [signal.SIGINT, signal.SIGTERM]
        others = [getattr(signal, name) for name in ("SIGHUP", "SIGBREAK") if hasattr(signal, name)]
        numbers += [number for number in others if signal.getsignal(number) is not signal.SIG_IGN]
        for number in (each for each in numbers if signal.getsignal(each) is not None):  # None: handled outside Python
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread: whoever runs us there handles signals
                break
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def unless_stopped(self, work: Callable[[], T]) -> T | None:
        """The result of `work`, which is optional; None if the first Ctrl-C, which is noted as well, ends it."""
        try:
            self._breaking = True  # not before `try`: a signal may come at any time
            return None if self.stop_requested else work()
        except _BrokenOff:
            return None
        finally:
            self._breaking = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.stop_requested:
            raise KeyboardInterrupt
        self.stop_requested = True
        if self._breaking:
            raise _BrokenOff
