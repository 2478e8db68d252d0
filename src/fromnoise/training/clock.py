"""The clock that a training's budget and speeds are measured by."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """The time since it was made, but for when it was stopped."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stopped_at: float | None = None

    @property
    def seconds(self) -> float:
        """How much that is."""
        return (time.perf_counter() if self._stopped_at is None else self._stopped_at) - self._start

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within it the clock stands still."""
        self._stopped_at = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - self._stopped_at
            self._stopped_at = None
