"""The one exception that users are meant to read."""


class UserError(Exception):
    """Bad input. The message is one line that says what is wrong, where, and what to do.

    Commands print it without a traceback (``debug=true`` shows one).
    """
