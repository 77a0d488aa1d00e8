"""A process that does not outlive its parent."""

from __future__ import annotations

import os
import signal
import threading


def end_with_parent(requests: int) -> None:
    """End this process and its group when the other end of ``requests`` closes, whatever else is running here."""
    try:
        import select

        poll = select.poll()
    except (ImportError, AttributeError):  # not on Windows
        return
    poll.register(requests, 0)  # no event is asked for, so only "hung up" comes

    def wait() -> None:
        poll.poll()
        if os.getpid() == os.getpgrp():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
