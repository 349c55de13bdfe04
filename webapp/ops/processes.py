"""Find and end processes, with all that they started.

Every process of ours carries a mark in its environment, and children inherit it.  So a training process is found
even when its worker was killed and it lives on in a session of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

MARK = "AUTODL_MARK"


def marked(mark: str) -> list[psutil.Process]:
    """Our processes whose mark starts with ``mark``, but for this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != psutil.Process().pid and process.environ().get(MARK, "").startswith(mark):
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue  # somebody else's, or gone
    return found


def end(processes: Sequence[psutil.Process], grace_s: float) -> None:
    """Ask to end; kill what is still there after ``grace_s``."""
    for process in processes:
        _signal(process, kill=False)
    for process in _wait(processes, grace_s):
        _signal(process, kill=True)
    _wait(processes, 5)


def is_alive(process: psutil.Process) -> bool:
    """Neither gone nor a zombie that only waits for its parent to look."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that are still alive when the time is up."""
    deadline = time.monotonic() + timeout_s
    while (processes := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return list(processes)


def _signal(process: psutil.Process, kill: bool) -> None:
    with suppress(psutil.NoSuchProcess):  # it ended by itself
        process.kill() if kill else process.terminate()
