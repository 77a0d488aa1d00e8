"""A world of its own: no network devices, no processes but its own, and mounts that cannot be written to.

Three processes: the *keeper*, which the parent knows and kills; below it the *first* process of the new world, which
only waits; and the worker, which goes on with Python.  When the keeper dies, so does the first process, and with it
the kernel ends everything in that world, wherever it hides.  Neither of the two ever runs code of the learner's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
import sys

from lessons.workbench.sandbox import linux
from lessons.workbench.sandbox.watch import end_with_parent

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_WORLD = _NEWNS | _NEWIPC | _NEWPID | _NEWNET
_PRIVATE, _NOSUID_NODEV = 1 << 18 | 1 << 14, 2 | 4
_AT_FDCWD, _RECURSIVE, _READ_ONLY = -100, 0x8000, 1


def enter(scratch: str, scratch_size: int) -> dict[str, bool]:
    """Go on in a new world; returns whether "mounts" are read-only and "scratch" is limited to ``scratch_size`` bytes.

    Only one thread may be running.  Raises ``OSError`` where the system does not allow it; then all is as before.
    """
    if sys.platform != "linux":
        raise OSError("only Linux has namespaces")
    import resource

    user, group = os.getuid(), os.getgid()
    try:
        linux.unshare(_WORLD)
    except PermissionError:  # an ordinary user: may be allowed to with a name space of users, too
        linux.unshare(_NEWUSER | _WORLD)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:  # only names would be missing
                file.write(text)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the keeper ends by the worker's signal, but is no crash
    first = os.fork()
    if first:
        _close_streams(keep_input=False)
        _end_like(os.waitpid(first, 0)[1])
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    worker = os.fork()
    if worker:
        linux.prctl(linux.PR_SET_DUMPABLE, 0)  # not to be attached to from inside
        _close_streams(keep_input=True)
        end_with_parent(0)
        _wait_for(worker)
    return _mount(scratch, scratch_size)


def _mount(scratch: str, scratch_size: int) -> dict[str, bool]:
    done = {"mounts": False, "scratch": False}
    try:
        linux.mount("none", "/", None, _PRIVATE)
        attributes = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
        linux.call("mount_setattr", _AT_FDCWD, ctypes.create_string_buffer(b"/", 2), _RECURSIVE,
                   ctypes.create_string_buffer(attributes, 32), 32)  # fmt: skip
        done["mounts"] = True
        linux.mount("minigrad", scratch, "tmpfs", _NOSUID_NODEV, f"size={scratch_size},nr_inodes=1000,mode=700")
        done["scratch"] = True
    except OSError:
        pass  # Landlock denies writes as well, and the account says which of the two is in force
    return done


def _close_streams(keep_input: bool) -> None:
    """Leave the pipes to the worker: their end is how the parent learns of its death."""
    for descriptor in (1, 2) if keep_input else (0, 1, 2):
        os.close(descriptor)


def _wait_for(worker: int) -> None:
    """What the first process does: wait for every process that ends here, until it is the worker."""
    while True:
        pid, status = os.wait()
        if pid == worker:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _end_like(status: int) -> None:
    """What the keeper does: end as the worker did."""
    code = os.waitstatus_to_exitcode(status)
    if code > 128:
        number = code - 128
        signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), number)
    os._exit(code if code >= 0 else 1)
