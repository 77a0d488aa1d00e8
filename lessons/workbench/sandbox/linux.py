"""System calls of Linux that Python has no function for."""

from __future__ import annotations

import ctypes
import os
import platform
import sys

# Numbers differ between processors; those above 423 are the same on all.
NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "socket": 41, "fork": 57, "vfork": 58, "clone": 56, "execve": 59, "execveat": 322, "kill": 62, "tkill": 200,
        "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "ptrace": 101, "process_vm_readv": 310,
        "process_vm_writev": 311, "prlimit64": 302, "setpriority": 141, "sched_setaffinity": 203, "ioprio_set": 251,
        "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "bpf": 321,
        "perf_event_open": 298, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249, "shmget": 29,
        "semget": 64, "msgget": 68, "mq_open": 240, "memfd_create": 319, "setsid": 112, "setpgid": 109, "capset": 126,
    },
    "aarch64": {
        "socket": 198, "clone": 220, "execve": 221, "execveat": 281, "kill": 129, "tkill": 130, "tgkill": 131,
        "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "prlimit64": 261, "setpriority": 140, "sched_setaffinity": 122, "ioprio_set": 30,
        "unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "bpf": 280,
        "perf_event_open": 241, "userfaultfd": 282, "keyctl": 219, "add_key": 217, "request_key": 218, "shmget": 194,
        "semget": 190, "msgget": 186, "mq_open": 180, "memfd_create": 279, "setsid": 157, "setpgid": 154, "capset": 91,
    },
}  # fmt: skip
EVERYWHERE = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "mount_setattr": 442, "landlock_create_ruleset": 444,
    "landlock_add_rule": 445, "landlock_restrict_self": 446,
}  # fmt: skip

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38

_libc = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None


def number(name: str) -> int | None:
    """The number of a system call here; None where there is none of that name, or this machine is not in the table."""
    here = sys.platform == "linux" and ctypes.sizeof(ctypes.c_void_p) == 8
    table = NUMBERS.get(platform.machine()) if here else None
    return None if table is None else {**table, **EVERYWHERE}.get(name)


def call(name: str, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make a system call.  Raises ``OSError`` as the kernel reports it, and when its number is not known here."""
    if _libc is None or (which := number(name)) is None:
        raise OSError(f"{name}: not known on {sys.platform} {platform.machine()}")
    result = _libc.syscall(ctypes.c_long(which), *(_argument(a) for a in arguments))
    return _checked(result, name)


def prctl(option: int, *arguments: int | ctypes.Array[ctypes.c_char]) -> int:
    """``prctl(2)``.  Raises ``OSError``."""
    assert _libc is not None
    padded = [*arguments, 0, 0, 0, 0][:4]
    return _checked(_libc.prctl(ctypes.c_int(option), *(_argument(a) for a in padded)), "prctl")


def unshare(flags: int) -> None:
    """``unshare(2)``.  Raises ``OSError``."""
    assert _libc is not None
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """``mount(2)``.  Raises ``OSError``."""
    assert _libc is not None
    text = [None if each is None else each.encode() for each in (source, target, kind, options)]
    _checked(_libc.mount(text[0], text[1], text[2], ctypes.c_ulong(flags), text[3]), "mount")


def _argument(value: object) -> object:
    return ctypes.c_ulong(value & (2**64 - 1)) if isinstance(value, int) else value


def _checked(result: int, name: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return int(result)
