"""The exceptions that the command line turns into a sentence."""


class UserError(Exception):
    """Something the user can put right: one line saying what is wrong and what to do.

    The command line prints it to stderr and exits with `code`.
    """

    code = 2


class Failed(UserError):  # noqa: N818 - a state of a score
    """A verdict that the caller asked to fail on; the score itself is done and written."""

    code = 3
