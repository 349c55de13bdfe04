"""The one error that is the user's to fix."""


class DataError(Exception):
    """Something is wrong with the data that a user gave.

    The message is shown verbatim: one sentence with what we found, where, and how to fix it.
    """
