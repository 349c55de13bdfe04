"""A child process that is a fork of this one: it has imported already what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from automl_engine.run import child
from automl_engine.run.confined import confine

POLL_S = 0.01


class Forked:
    """A process that runs a function of this one; used as a ``Popen``."""

    def __init__(self, function: Callable[[], int]) -> None:
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            _end_with(function)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        return wait_for(self.poll, timeout)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    function: Callable[[], int], limits: child.Limits, log: IO[bytes], read: Sequence[Path], write: Sequence[Path]
) -> Forked:
    """Run a function of ours in a confined child under limits, as ``child.launch`` does with a command."""
    parent = os.getpid()

    def limited() -> int:
        child.prepare(limits)
        confine(read, write)
        return function()

    def supervised() -> int:
        print_to(log.fileno())
        return child.ended_like(child.supervise(lambda: Forked(limited), limits, lambda: os.getppid() != parent))

    return Forked(supervised)


def print_to(descriptor: int) -> None:
    """Send what this process prints there, and give it nothing to read."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)


def _end_with(function: Callable[[], int]) -> Any:
    """The rest of a forked process: no handlers of its parent, nothing of its parent's stack.  Does not return."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        code = function()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # told as the interpreter would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def wait_for(poll: Callable[[], int | None], timeout_s: float | None) -> int:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while (code := poll()) is None:
        if deadline is not None and time.monotonic() > deadline:
            raise subprocess.TimeoutExpired("a forked process", timeout_s or 0.0)
        time.sleep(POLL_S)
    return code
