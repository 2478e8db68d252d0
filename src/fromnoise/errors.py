"""The exceptions that the command line turns into a sentence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can put right: one line saying what is wrong and what to do.

    The command line prints it to stderr and exits with `code`.
    """

    code = 2


class Failed(UserError):  # noqa: N818 - a state of a score
    """A verdict that the caller asked to fail on; the score itself is done and written."""

    code = 3


@contextmanager
def named_for_python() -> Iterator[None]:
    """A block whose errors name arguments as Python does: per_class for --per-class."""
    try:
        yield
    except UserError as error:
        error.args = (re.sub(r"--([a-z][a-z-]*)", lambda found: found[1].replace("-", "_"), str(error)),)
        raise
