"""What all threads of a process share, changed while any of them needs it changed."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager


class Shared:
    """A block that several threads may be in: the first to enter enters `change`, and the last to leave leaves it.

    change  makes a context manager
    """

    def __init__(self, change: Callable[[], AbstractContextManager[None]]) -> None:
        self._change, self._lock, self._inside = change, threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._changed = self._change()
                self._changed.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._changed.__exit__(None, None, None)
