"""Landlock: the kernel lets this process read and write beneath a few folders only.  It needs no privilege."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

from lessons.workbench.sandbox import linux

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE, _OF_FILES = 1 << 14, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_READ = _READ_FILE | _READ_DIR
_ALL = _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _TRUNCATE

_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many kinds of access each version of Landlock knows


def version() -> int:
    """The version of Landlock in this kernel.  Raises ``OSError`` when it has none."""
    return linux.call("landlock_create_ruleset", None, 0, 1)


def restrict(readable: Iterable[str], writable: Iterable[str], listable: Iterable[str] = ()) -> int:
    """Deny all access to files but beneath these paths, for this thread and all it starts; what is open stays open.

    In ``listable`` only names can be read.  Where the kernel can (versions 4 and 6), TCP and signals to others are
    denied, too.  Returns Landlock's version; raises ``OSError`` where the kernel does not have it.
    """
    have = version()
    handled = (1 << _RIGHTS.get(have, 16)) - 1
    attributes = struct.pack("QQQ", handled, 3 if have >= 4 else 0, 3 if have >= 6 else 0)
    length = 8 if have < 4 else 16 if have < 6 else 24
    rules = linux.call("landlock_create_ruleset", ctypes.create_string_buffer(attributes, 24), length, 0)
    try:
        for paths, access in ((readable, _READ), (writable, _ALL), (listable, _READ_DIR)):
            for path in paths:
                with contextlib.suppress(FileNotFoundError, PermissionError, NotADirectoryError):
                    _allow(rules, path, access & handled)
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.call("landlock_restrict_self", rules, 0)
    finally:
        os.close(rules)
    return have


def _allow(rules: int, path: str, access: int) -> None:
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            access &= _OF_FILES
        rule = struct.pack("=Qi", access, beneath)
        linux.call("landlock_add_rule", rules, 1, ctypes.create_string_buffer(rule, len(rule)), 0)
    finally:
        os.close(beneath)
