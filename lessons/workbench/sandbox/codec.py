"""Values as plain bytes: arrays, numbers, strings and None, in tuples, lists and dicts; nothing that could run.

A frame is its length (8 bytes), the length of its head (4 bytes), the head (JSON) and the bytes of the arrays.  The
head names dtype and shape of each array; where the arrays lie follows from that.  What is read is checked: a frame
that does not add up raises `FrameError`, and never anything else.

Whatever else a function returns (an object, an array of objects) is not carried over: it arrives as an `Opaque`
whose class has the name of its class, which is what an error message needs.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import numpy as np

_LENGTH = struct.Struct("<Q")
_HEAD = struct.Struct("<I")
PREFIX = _LENGTH.size  # a frame begins with so many bytes
_ALIGN = 64
_DTYPE = re.compile(r"[<>|=][biufc](1|2|4|8|16|32)")  # numbers only: no objects, no strings, no records
_DEEPEST = 16
_INTEGER_BITS = 2**12  # longer integers are no results
_LONGEST_HEAD = 2**20  # a head describes; what it would take as Python objects is a multiple of this


class FrameError(Exception):
    """The bytes are not a frame; the message says what does not fit."""


class Opaque:
    """Stands for a value that stayed in the other process; its class is called as that value's class was."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def opaque(name: str) -> Opaque:
    shown = "".join(c if c.isprintable() else "?" for c in name)[:80] or "object"
    return type(shown, (Opaque,), {})()


# ---- writing


def pack(head: dict[str, Any], value: Any = None) -> bytes:
    """A frame with the fields of ``head`` and one value."""
    arrays: list[np.ndarray] = []
    body = _node(value, arrays, 0)
    about = [[array.dtype.str, list(array.shape)] for array in arrays]
    text = json.dumps({**head, "value": body, "arrays": about}).encode("ascii")
    pieces = [_HEAD.pack(len(text)), text]
    position = _HEAD.size + len(text)
    for array in arrays:
        padding = -position % _ALIGN
        pieces += [b"\0" * padding, array.tobytes()]
        position += padding + array.nbytes
    return b"".join([_LENGTH.pack(position), *pieces])


def _node(value: Any, arrays: list[np.ndarray], depth: int) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, str):
        return value
    if kind is int and value.bit_length() <= _INTEGER_BITS:
        return value
    if kind is complex:
        return ["complex", value.real, value.imag]
    if issubclass(kind, (np.ndarray, np.generic)):
        array = np.asarray(value)
        if not _DTYPE.fullmatch(array.dtype.str):
            return ["opaque", f"array of dtype {array.dtype}"]
        arrays.append(array)
        return ["array" if issubclass(kind, np.ndarray) else "scalar", len(arrays) - 1]
    if depth < _DEEPEST:
        if issubclass(kind, (tuple, list)):
            return ["tuple" if issubclass(kind, tuple) else "list", *(_node(v, arrays, depth + 1) for v in value)]
        if issubclass(kind, dict) and all(type(key) is str for key in value):
            return ["dict", {key: _node(v, arrays, depth + 1) for key, v in value.items()}]
    return ["opaque", kind.__name__]


def first_opaque(value: Any) -> str | None:
    """A description of the first thing in ``value`` that `pack` would not carry over; None when it carries all."""
    pending = [_node(value, [], 0)]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            kind, *rest = node
            if kind == "opaque":
                return f"an {rest[0]}" if str(rest[0]).startswith("array") else f"a {rest[0]}"
            pending += rest if kind in ("tuple", "list") else rest[0].values() if kind == "dict" else []
    return None


# ---- reading


def frame_length(prefix: bytes, longest: int) -> int:
    """How many bytes follow the prefix of a frame.  Raises `FrameError` for more than ``longest``."""
    (length,) = _LENGTH.unpack(prefix)
    if length > longest:
        raise FrameError(f"a reply of {length} bytes; at most {longest} are read")
    return int(length)


def unpack(content: bytearray) -> tuple[dict[str, Any], Any]:
    """The head and the value of a frame, without its prefix; the arrays are writable and share ``content``.

    Raises `FrameError` for anything that `pack` would not have written.
    """
    try:
        (size,) = _HEAD.unpack_from(content)
        position = _HEAD.size + size
        if size > _LONGEST_HEAD:
            raise FrameError(f"its head has {size} bytes; at most {_LONGEST_HEAD} are read: return arrays, not lists")
        if position > len(content):
            raise FrameError(f"its head should have {size} bytes, but only {len(content)} came")
        head = json.loads(content[_HEAD.size : position].decode("ascii"))
        arrays = []
        for dtype, shape in head.pop("arrays"):
            array, position = _array(content, position, dtype, shape)
            arrays.append(array)
        if position != len(content):
            raise FrameError(f"it has {len(content)} bytes, but describes {position}")
        return head, _value(head.pop("value"), arrays, 0)
    except FrameError:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError, struct.error) as error:
        raise FrameError(f"it cannot be read: {type(error).__name__}") from error


def _array(content: bytearray, position: int, dtype: str, shape: list[int]) -> tuple[np.ndarray, int]:
    if not _DTYPE.fullmatch(dtype):
        raise FrameError("it holds an array that is not of numbers")
    if not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 32:
        raise FrameError("it holds an array of an impossible shape")
    form = np.dtype(dtype)
    count = 1
    for n in shape:
        count *= n
    position += -position % _ALIGN
    if position + count * form.itemsize > len(content):
        raise FrameError("it holds an array that is longer than the reply")
    array = np.frombuffer(content, form, count, position) if count else np.empty(0, form)
    return array.reshape(shape), position + count * form.itemsize


def _value(node: Any, arrays: list[np.ndarray], depth: int) -> Any:
    if type(node) is not list:
        if isinstance(node, dict):
            raise FrameError("it holds something without a kind")
        return node
    kind, *rest = node
    if depth > _DEEPEST:
        raise FrameError("it is nested too deeply")
    if kind in ("tuple", "list"):
        values = [_value(item, arrays, depth + 1) for item in rest]
        return tuple(values) if kind == "tuple" else values
    if kind == "dict":
        return {key: _value(item, arrays, depth + 1) for key, item in rest[0].items()}
    if kind == "complex":
        return complex(*rest)
    if kind == "array":
        return arrays[rest[0]]
    if kind == "scalar":
        return arrays[rest[0]][()]
    if kind == "opaque":
        return opaque(str(rest[0]))
    raise FrameError("it holds something of an unknown kind")
