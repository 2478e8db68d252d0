"""The one exception that the command line turns into a sentence."""


class UserError(Exception):
    """Something the user can put right: one line saying what is wrong and what to do.

    The command line prints it to stderr and exits with code 2.
    """
