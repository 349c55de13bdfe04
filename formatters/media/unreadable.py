"""What decoders of media raise."""


class UnreadableError(Exception):
    """This file cannot be decoded; the message says why, in a few words."""
