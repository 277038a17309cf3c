"""Errors that a user can act on: what was expected, what was found, where, and the next move."""


class XlxmertError(Exception):
    """Something went wrong that the user can mend; the command line prints it as one line and exits with 1."""

    exit_code = 1


class UsageError(XlxmertError):
    """The request itself cannot be served (an empty prompt, an unknown option); the command line exits with 2."""

    exit_code = 2
