"""The errors a reader can cause, each told in one line.

Every message says three things: what is wrong, what was expected, and what to do about it.
The command line prints the message alone, without a traceback, and exits with status 2.
Anything that is not a `WhydeepError` is a fault of the book and keeps its traceback.
"""


class WhydeepError(Exception):
    """Bad input, or a missing or damaged file: something the reader can put right.

    The message is one line; line breaks in it (from a quoted cause, say) are folded into spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(str(message).split()))


class DataError(WhydeepError):
    """A data file is missing, incomplete, altered, unreadable or could not be fetched."""


class UnknownExperiment(WhydeepError):
    """No experiment has the given id."""


class UnknownDevice(WhydeepError):
    """The requested device is not one that the book knows, or this machine does not have it."""


class BadSettings(WhydeepError):
    """A setting has an unknown name, a value of the wrong type, or one outside its range."""
