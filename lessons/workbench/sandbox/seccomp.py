"""A filter in the kernel for system calls: no sockets, no processes, no signals to others, no tricks with mounts.

It needs no privilege, binds root too, and cannot be taken off again.  What it denies fails with "operation not
permitted", so that the learner's code gets an ordinary exception.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

from lessons.workbench.sandbox import linux

# Never needed by an exercise: `clone` makes processes as well as threads, and is judged by its flags below.
DENIED = (
    "socket", "io_uring_setup",  # network, and unix sockets of services
    "fork", "vfork", "execve", "execveat",  # processes
    "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "pidfd_open", "pidfd_getfd",  # others ...
    "ptrace", "process_vm_readv", "process_vm_writev", "setpriority", "ioprio_set",  # ... of the same user
    "setsid", "setpgid",  # leaving the process group that gets killed
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen",
    "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "keyctl", "add_key", "request_key",
    "shmget", "semget", "msgget", "mq_open", "memfd_create",  # memory that no limit counts, or that outlives us
)  # fmt: skip
OWN = ("kill", "tgkill", "prlimit64", "sched_setaffinity")  # allowed where they name this process

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # the bit of x86_64's second set of system calls
_CLONE_THREAD = 0x00010000
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data; the low half of the argument


def deny() -> None:
    """Put the filter in force for this thread and all that it starts.  Raises ``OSError`` where that cannot be."""
    program = _program(os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_SECCOMP, 2, ctypes.create_string_buffer(header, len(header)))


def _program(pid: int) -> bytes:
    if linux.number("socket") is None:
        raise OSError(
            f"no filter for {sys.platform} {platform.machine()}; we know Linux on {', '.join(_ARCHITECTURES)}"
        )
    architecture = _ARCHITECTURES[platform.machine()]
    refuse, missing = _ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if platform.machine() == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, refuse)]
    for name in DENIED:
        if (number := linux.number(name)) is not None:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, refuse)]
    # clone3 hides its flags from a filter; told that there is none, the C library takes clone.
    steps += [(_EQUAL, 0, 1, _known("clone3")), (_RETURN, 0, 0, missing)]
    steps += [
        (_EQUAL, 0, 4, _known("clone")),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _CLONE_THREAD),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refuse),
    ]
    for name in OWN:
        here = pid if name in ("kill", "tgkill") else 0  # a signal to process 0 is one to the whole group
        steps += [
            (_EQUAL, 0, 5, _known(name)),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_EQUAL, 1, 0, here),
            (_EQUAL, 0, 1, pid),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, refuse),
        ]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _known(name: str) -> int:
    number = linux.number(name)
    assert number is not None, name
    return number
