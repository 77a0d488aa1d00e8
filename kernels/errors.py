"""The one error that this package raises for arguments that a kernel cannot work on."""


class KernelError(ValueError):
    """Names the function and the argument, what was got and what is expected."""
