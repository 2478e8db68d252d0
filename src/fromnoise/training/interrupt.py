"""Ctrl-C that saves and leaves cleanly."""

import signal
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training stopped on request, with everything saved; says where."""


class InterruptGuard:
    """Within it the first Ctrl-C (or SIGTERM) is only noted, in `asked`; a second one stops at once."""

    def __init__(self) -> None:
        self.asked = False
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

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
