"""The error that the command line shows as one message, without a traceback."""


class UsageError(Exception):
    """The command cannot be carried out as typed; the message says why and what to type instead."""
