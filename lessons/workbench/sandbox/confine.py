"""What the child does to itself before anything of the learner's runs, and the honest account of it.

A protection that the system does not have is left out and the account says so; nothing here refuses to go on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import site
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lessons.workbench.sandbox import landlock, linux, namespaces, seccomp

HARMS = ("network", "processes", "signals", "writes", "reads")
SCRATCH_SIZE = 64 * 2**20
_PROCESSES = 64
_FILES = 256
_ROOT = Path(__file__).resolve().parents[3]
_LESSONS = _ROOT / "lessons"
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/proc/self",
           "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random")  # fmt: skip


@dataclass
class Account:
    """For each harm, what denies it; and the reasons why something is not in force."""

    deniers: dict[str, list[str]] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def denies(self, by: str, *harms: str) -> None:
        for harm in harms:
            self.deniers.setdefault(harm, []).append(by)

    def sentences(self) -> dict[str, str]:
        said = dict(self.limits)
        for harm in HARMS:
            deniers = self.deniers.get(harm)
            said[harm] = f"denied by {' and '.join(deniers)}" if deniers else "NOT denied"
        if self.missing:
            said["not in force"] = "; ".join(self.missing)
        return said


def enter_namespaces(scratch: str) -> Account:
    """Begin an account with a world of its own, where that is allowed.  Called before any thread is started."""
    account = Account(limits={"leftovers": "its process group is killed; what leaves the group would stay"})
    try:
        done = namespaces.enter(scratch, SCRATCH_SIZE)
    except OSError as error:
        account.missing.append(f"namespaces ({error.strerror or error})")
        return account
    account.denies("a network namespace", "network")
    account.denies("a namespace of processes", "signals")
    account.limits["leftovers"] = "none: whatever it starts ends with it, as the namespace of processes does"
    account.limits["scratch"] = "not limited in all"
    if done["mounts"]:
        account.denies("read-only mounts", "writes")
    if done["scratch"]:
        account.limits["scratch"] = f"at most {SCRATCH_SIZE // 2**20} MiB in its scratch folder, kept in memory"
    return account


def confine(head: dict[str, Any], account: Account) -> dict[str, str]:
    """Confine this process as the load request ``head`` says; returns what is in force, in sentences."""
    scratch = head["scratch"]
    os.chdir(scratch)
    limit_resources(head, account)
    account.limits["environment"] = "scrubbed: nothing of the parent's but what Python needs to start"
    account.limits["privileges"] = _drop_privileges()
    writable = [scratch, "/dev/null", "/dev/zero"]
    _attempt(account, "Landlock", lambda: _restrict_files(head["readable"], writable, account))
    _attempt(account, "seccomp", lambda: _restrict_calls(account))
    return account.sentences()


def leave_free(head: dict[str, Any]) -> dict[str, str]:
    """Limit what the learner's own file may use, and deny it nothing; returns what is in force, in sentences."""
    account = Account()
    os.chdir(head["cwd"])  # relative paths mean what they mean to the learner
    limit_resources(head, account)
    return account.sentences()


def _attempt(account: Account, name: str, action: Any) -> None:
    try:
        action()
    except (OSError, AttributeError) as error:
        account.missing.append(f"{name} ({getattr(error, 'strerror', None) or error})")


def _restrict_files(also: list[str], writable: list[str], account: Account) -> None:
    readable, listable = readable_paths()
    have = landlock.restrict([*readable, *also], writable, listable)
    account.denies(f"Landlock {have}", "writes", "reads")


def _restrict_calls(account: Account) -> None:
    seccomp.deny()
    account.denies("seccomp", "network", "processes", "signals")


def readable_paths() -> tuple[list[str], list[str]]:
    """What may be read, the Python installation with all its packages but our lessons; and what may be listed only.

    The lessons hold the solutions.  Landlock cannot take out a folder from one that it allows, so whatever contains
    them is allowed entry by entry.  Of a checkout, minigrad and its kernels are all that may be read.
    """
    readable, listable = [*_SYSTEM, str(_ROOT / "minigrad"), str(_ROOT / "kernels")], []
    installed = [*sys.path, *site.getsitepackages(), sys.prefix, sys.base_prefix, sys.exec_prefix]
    pending = {Path(folder).resolve() for folder in installed if folder} - {Path("/")}
    checkout = (_ROOT / "setup.cfg").exists()
    while pending:
        folder = pending.pop()
        if folder not in (_LESSONS, *_LESSONS.parents):
            readable.append(str(folder))
        elif folder != _LESSONS and not (checkout and folder == _ROOT):
            listable.append(str(folder))
            with contextlib.suppress(OSError):
                pending |= set(folder.iterdir())
    return readable, listable


def _drop_privileges() -> str:
    """Give up root's powers over other people's files, processes and the machine.  The user stays the same."""
    if sys.platform != "linux":
        return "as the parent's"
    header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0), 8)
    try:
        linux.call("capset", header, ctypes.create_string_buffer(24))
    except OSError as error:
        return f"as the parent's ({error})"
    return f"none (user {os.getuid()} without capabilities)"


def _mapped(page: int) -> int:
    """How many bytes of addresses are in use, which RLIMIT_AS counts; a guess where /proc does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * page
    except OSError:
        return 2**30


def limit_resources(head: dict[str, Any], account: Account) -> None:
    """Limit memory, processor time and file sizes as the load request says, as far as the system does."""
    account.limits["time"] = f"{head['seconds']:g} s by the clock; then the process group is killed"
    try:
        import resource
    except ImportError:
        account.missing.append("limits of memory and files (this system has none)")
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": head["file_size"],
        # A backstop for the case that nobody is left to watch the clock.
        "RLIMIT_CPU": int(used.ru_utime + used.ru_stime + 20 * head["seconds"]) + 60,
    }
    account.limits["files"] = f"at most {head['file_size'] // 2**20} MiB each"
    if head["confined"]:
        wanted |= {"RLIMIT_NPROC": _PROCESSES, "RLIMIT_NOFILE": _FILES}
        if os.getuid() != 0:
            account.denies(f"RLIMIT_NPROC (more than {_PROCESSES})", "processes")
    if sys.platform == "linux":
        wanted["RLIMIT_AS"] = _mapped(resource.getpagesize()) + head["memory"]
        account.limits["memory"] = f"at most {head['memory'] // 2**20} MiB more than NumPy needs"
    else:
        account.missing.append("a limit of memory (this system does not enforce RLIMIT_AS)")
    for name, value in wanted.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that is too long is then an OSError
