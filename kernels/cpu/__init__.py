"""The kernels compiled by Numba."""

from kernels.memory import keep_unless_decided

keep_unless_decided()
