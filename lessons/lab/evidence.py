"""How a result came about: what the tools in a learner's hands tell a check, besides the result.

A check may care how an answer was found, such as whether a kernel was launched, and how much memory it touched. The
tool `tell`s it, the check collects it, and it crosses from a process of its own like NumPy's warnings do::

    with evidence.collected() as found:
        result = candidate(x)
    found                                   # [{"kernel": "add", "blocks": 4, ...}]

Like everything from a learner's process, it may be made up: it helps who wants to learn, and proves nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

Entry = dict[str, Any]  # names to numbers and strings

MOST = 64  # entries of one call; a list that is longer is cut off
_listeners: list[list[Entry]] = []


@contextlib.contextmanager
def collected() -> Iterator[list[Entry]]:
    """Collect what is told in the block; an inner block keeps it from an outer one."""
    found: list[Entry] = []
    _listeners.append(found)
    try:
        yield found
    finally:
        _listeners.pop()


def wanted() -> bool:
    """Whether anybody listens; for tools to whom it is work."""
    return bool(_listeners)


def tell(entry: Entry) -> None:
    """Tell the innermost listener, if there is one."""
    if _listeners and len(_listeners[-1]) < MOST:
        _listeners[-1].append(entry)


def plain(entries: Any) -> list[Entry]:
    """Entries from somewhere that is not trusted: those that are made of names, numbers and short strings."""
    if not isinstance(entries, list):
        return []
    return [
        entry
        for entry in entries[:MOST]
        if isinstance(entry, dict)
        and len(entry) <= MOST
        and all(isinstance(key, str) and _is_plain(value) for key, value in entry.items())
    ]


def _is_plain(value: Any) -> bool:
    return type(value) in (int, float, bool) or (type(value) is str and len(value) < 200 and value.isprintable())
