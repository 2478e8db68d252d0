"""The clock that a training's budget and speeds are measured by."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds of training since it was made. `before`: those of earlier processes, which count too."""

    def __init__(self) -> None:
        self.before = 0.0
        self._start = time.perf_counter()
        self._stopped_at: float | None = None

    @property
    def here(self) -> float:
        """The seconds of this process."""
        return (time.perf_counter() if self._stopped_at is None else self._stopped_at) - self._start

    @property
    def seconds(self) -> float:
        """All seconds, those before a resumption included."""
        return self.before + self.here

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Within it the clock stands still."""
        self._stopped_at = time.perf_counter()
        try:
            yield
        finally:
            self._start += time.perf_counter() - self._stopped_at
            self._stopped_at = None
