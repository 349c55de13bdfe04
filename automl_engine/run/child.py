"""The one way to start a child process: limits, no secrets, and an end with its parent.

``launch`` puts a small supervisor (this file, run as a script) between the caller and the command.  The supervisor sets
the kernel's limits, watches what the command and everything below it uses, and ends all of it when a limit is hit or
when the caller is gone.  A limit is told as one sentence, the last line on stderr, with exit code 2.
Uses the standard library and psutil only.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

GB = 2**30
EXIT_LIMIT = 2  # the same as for data that could not be read
THREADS = 16  # in each process that is allowed, on average
POLL_S = 0.1
SHARE_OF_TIME = 0.02
"""Fraction of one processor that watching may take."""
GRACE_S = 1.0  # between SIGTERM and SIGKILL
OOM_SCORE = "500"  # where memory runs out, the kernel ends a child before the site
KILLED = "the training process was killed from outside, most likely because memory ran out"
SECRETS = {"SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASS", "TOKEN", "TOKENS", "KEY", "KEYS", "CREDENTIALS", "DSN"}
"""A variable is a secret if one of these is among the words of its name."""
SECRET_NAMES = {"PGPASSWORD", "DATABASE_URL", "REDIS_URL", "EMAIL_URL", "STORAGE_URL", "SSH_AUTH_SOCK"}
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Process(Protocol):
    """What we use of ``Popen``; a process that was forked offers the same."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class Limits:
    """What a command may use; None: no limit.  All but two count the whole tree of processes.

    Args:
        allocated_bytes: memory that one process may allocate; beyond it the process gets a MemoryError.
        resident_bytes: memory in use.  Unlike the first, it suits a process that uses a GPU.
        file_bytes: size of one file.
    """

    allocated_bytes: int | None = None
    resident_bytes: int | None = None
    cpu_s: int | None = None
    file_bytes: int | None = None
    processes: int | None = None


def reader_limits() -> Limits:
    """For what reads data from users: formatters and predictors."""
    memory_bytes = reader_memory_bytes()
    return Limits(memory_bytes, memory_bytes, _setting("CPU_S", 2 * 3600), _file_bytes(), _setting("PROCESSES", 256))


def engine_limits() -> Limits:
    """For what trains or packs a model; the budget limits its time."""
    memory_bytes = _setting("ENGINE_MEMORY_BYTES", machine_bytes() * 4 // 5)
    return Limits(None, memory_bytes, None, _file_bytes(), _setting("PROCESSES", 256))


def reader_memory_bytes() -> int:
    return _setting("MEMORY_BYTES", min(4 * GB, machine_bytes() // 2))


def machine_bytes() -> int:
    """Memory of this machine or, in a container, of its control group."""
    limits = [psutil.virtual_memory().total]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        path = Path("/sys/fs/cgroup") / name
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


@contextmanager
def held_memory() -> Iterator[None]:
    """Hold this process to the memory of a reader, however it was started.

    Raises:
        DataError: that was not enough.
    """
    from automl_engine.errors import DataError

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit_bytes = reader_memory_bytes()
    if hard != resource.RLIM_INFINITY:
        limit_bytes = min(limit_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    try:
        yield
    except MemoryError:
        raise DataError(memory_sentence(limit_bytes)) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def environment() -> dict[str, str]:
    """Ours without the secrets."""
    return {name: value for name, value in os.environ.items() if not _is_secret(name, value)}


def launch(
    command: Sequence[str], limits: Limits, *, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a command under limits.

    Signals sent to the process reach the command; its exit code is the command's.

    Args:
        env: by default ``environment()``.
        options: as of ``Popen``.
    """
    supervisor = [sys.executable, "-P", __file__, json.dumps(asdict(limits)), str(os.getpid())]
    return subprocess.Popen([*supervisor, *command], env=environment() if env is None else env, **options)


def _setting(name: str, default: int) -> int:
    return int(os.environ.get(f"AUTODL_MAX_{name}") or default)


def _file_bytes() -> int:
    return _setting("FILE_BYTES", 20 * GB)


def _is_secret(name: str, value: str) -> bool:
    in_address = "@" in value.partition("://")[2].partition("/")[0]  # user:password@host
    return name in SECRET_NAMES or in_address or not SECRETS.isdisjoint(name.upper().split("_"))


# The supervisor


def main(arguments: Sequence[str]) -> int:
    limits, parent, command = Limits(**json.loads(arguments[0])), int(arguments[1]), arguments[2:]
    code = supervise(
        lambda: subprocess.Popen(command, preexec_fn=lambda: prepare(limits)),  # there are no threads here
        limits,
        lambda: os.getppid() != parent,
    )
    return ended_like(code)


def ended_like(code: int) -> int:
    """The exit code of a process that ended like another: by the same signal where that was one."""
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def supervise(start: Callable[[], Process], limits: Limits, is_abandoned: Callable[[], bool]) -> int:
    """Start a process, watch it and what it starts until it ends, a limit is hit or nobody wants it any more.

    Returns:
        Its exit code, negative for a signal; or that of a limit, with a sentence on stderr.
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what the command's processes leave behind stays below us
    _own_group()  # who kills the group that we came from leaves us to clear up
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the whole group; the command decides
    process = start()
    signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    try:
        reason = _watch(process, limits, is_abandoned)
    finally:
        _end(process)
    if reason:
        print(reason, file=sys.stderr, flush=True)
        return EXIT_LIMIT
    assert process.returncode is not None
    return process.returncode


def prepare(limits: Limits) -> None:
    """In the new process, before the command starts."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _own_group()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.allocated_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limits.allocated_bytes,) * 2)
    if limits.file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2)
    if limits.cpu_s:  # should the supervisor get no time itself
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s + 10,) * 2)
    if sys.platform == "linux" and Path("/proc/self/oom_score_adj").read_text().strip() != OOM_SCORE:
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)  # a confined process has it already, and may not write


def _watch(process: Process, limits: Limits, is_abandoned: Callable[[], bool]) -> str:
    """Wait for the end; returns the sentence of the limit that was hit, if one was."""
    pause_s = POLL_S
    while True:
        try:
            code = process.wait(pause_s)
            return _cpu_sentence(limits) if code == -signal.SIGXCPU and limits.cpu_s else ""
        except subprocess.TimeoutExpired:
            begun = time.process_time()  # not the clock on the wall: on a busy machine we would hardly look
        if is_abandoned():
            return ""
        if reason := _excess(limits):
            return reason
        pause_s = max(POLL_S, (time.process_time() - begun) / SHARE_OF_TIME)


def _excess(limits: Limits) -> str:
    """One sentence if the processes below us use more than they may."""
    private_bytes = shared_bytes = count = threads = 0
    cpu_s = 0.0
    for member in psutil.Process().children(recursive=True):
        try:
            memory, times = member.memory_info()._asdict(), member.cpu_times()._asdict()  # fields differ by system
            threads += member.num_threads()
        except psutil.Error:  # it has ended
            continue
        shared = memory.get("shared", 0)
        private_bytes += memory["rss"] - shared
        shared_bytes = max(shared_bytes, shared)  # mostly the same pages in each of them
        cpu_s += times["user"] + times["system"] + times.get("children_user", 0.0)
        count += 1
    if limits.resident_bytes and private_bytes + shared_bytes > limits.resident_bytes:
        return memory_sentence(limits.resident_bytes)
    if limits.cpu_s and cpu_s > limits.cpu_s:
        return _cpu_sentence(limits)
    if limits.processes and count > limits.processes:
        return f"This started more than {limits.processes} processes, the limit here; use fewer of them."
    if limits.processes and threads > THREADS * limits.processes:
        return f"This started more than {THREADS * limits.processes} threads, the limit here; use fewer of them."
    return ""


def memory_sentence(limit_bytes: int) -> str:
    return (
        f"Processing this data needs more than {limit_bytes / GB:.3g} GB of memory, the limit here; "
        "split it or give less of it."
    )


def _cpu_sentence(limits: Limits) -> str:
    assert limits.cpu_s is not None
    return f"Processing this data needs more than {limits.cpu_s} s of processor time, the limit here; give less of it."


def _end(process: Process) -> None:
    """SIGTERM and a moment of grace for the command, so that it can clean up; then SIGKILL for all below us."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # at once: one by one, what forks without end would outrun us
    while family := [p for p in psutil.Process().children(recursive=True) if lives(p)]:
        for member in family:
            member.kill()
        psutil.wait_procs(family, timeout=GRACE_S)


def _own_group() -> None:
    """Lead a process group; below a confined process (syscalls.py), and where we lead a session, nothing changes."""
    with suppress(PermissionError):
        os.setpgid(0, 0)


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
