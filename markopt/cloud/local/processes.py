"""Processes of this machine: told apart by their start, ended with their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process with its parent, whose pid is ``parent`` (Linux)."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


def end_group_with_leader() -> None:
    """Have this process's group killed when it ends, if it leads one: what cannot be told to.

    A fork of it waits for that, so it is best called early.
    """
    if os.getpgrp() != os.getpid():
        return
    lives, held = os.pipe()  # the other end closes with this process and the forks that it guards
    if os.fork() == 0:
        os.close(held)
        os.read(lives, 1)
        os.killpg(0, signal.SIGKILL)
    os.close(lives)


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None: there is no such process.

    A pid is used again after its process; pid and start together are not.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])


def end_process(pid: int, started: int) -> bool:
    """Kill a process, with its group where it leads one, unless the pid is another's by now."""
    if start_ticks(pid) != started:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
        return True
    return False
