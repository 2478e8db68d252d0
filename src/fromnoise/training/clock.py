"""The clock that a training's budget and speeds are measured by."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds of training: those since the clock was made, less those for which it was stopped."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stopped_at: float | None = None
        self._added = 0.0

    @property
    def seconds(self) -> float:
        """How many those are, with those that were added."""
        return self.running + self._added

    @property
    def running(self) -> float:
        """How many those are in this process."""
        return (time.perf_counter() if self._stopped_at is None else self._stopped_at) - self._start

    def add(self, seconds: float) -> None:
        """Count so many seconds more: those of an earlier process, for example."""
        self._added += seconds

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within it the clock stands still."""
        self._stopped_at = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - self._stopped_at
            self._stopped_at = None
