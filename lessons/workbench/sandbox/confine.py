"""What the child does to itself before anything of the learner's runs, and the honest account of it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any


def enter_namespaces() -> dict[str, str]:
    return {}


def end_with_parent(requests: int) -> None:
    """End the process when its parent does, also while the learner's code runs and nobody reads ``requests``."""
    try:
        import select

        poll = select.poll()
    except (ImportError, AttributeError):  # not on Windows
        return
    poll.register(requests, 0)  # no event is asked for, so only "hung up" comes

    def wait() -> None:
        poll.poll()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def apply(head: dict[str, Any], confined: bool) -> dict[str, str]:
    """Put the limits in force; returns what is in force, a sentence for each kind of harm."""
    isolation = {"time": "the clock, watched by the parent, which kills the process group"}
    isolation.update(_limit_resources(head))
    return isolation


def _limit_resources(head: dict[str, Any]) -> dict[str, str]:
    try:
        import resource
    except ImportError:
        return {"memory": "not limited: this system has no resource limits", "file size": "not limited"}
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": head["file_size"],
        # A backstop for the case that nobody is left to watch the clock.
        "RLIMIT_CPU": int(used.ru_utime + used.ru_stime + 20 * head["seconds"]) + 60,
    }
    if sys.platform == "linux":
        with open("/proc/self/statm", "rb") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
        wanted["RLIMIT_AS"] = mapped + head["memory"]
    for name, value in wanted.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return {
        "memory": f"at most {head['memory'] // 2**20} MiB more than NumPy needs (RLIMIT_AS)"
        if "RLIMIT_AS" in wanted
        else "not limited: this system does not enforce RLIMIT_AS",
        "file size": f"at most {head['file_size'] // 2**20} MiB a file (RLIMIT_FSIZE)",
    }
