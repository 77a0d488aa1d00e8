"""The one error of this folder: a data file is missing, damaged, or is not what it says it is."""

from minigrad.errors import MinigradError


class DataError(MinigradError):
    """A data file cannot be used; the message names it and says what to do. Nothing was half-loaded."""
