"""What work says while it goes on: sentences, and how much is done."""

from collections.abc import Callable

Say = Callable[[str], None]

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


def silent(line: str) -> None:
    """Say nothing."""


def some(n: int, what: str) -> str:
    """1 image, 2 images."""
    return f"{n:,} {what}{'s' * (n != 1)}"
