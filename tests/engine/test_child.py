"""Child processes and their limits, each as a user would hit it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from automl_engine.run.child import Limits, environment, launch

MB = 2**20
TREE = "import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
ALLOCATE = "block = bytearray(300_000_000); import time; time.sleep(30)"
HUNDRED_SLEEPERS = "import subprocess, time\nfor _ in range(20): subprocess.Popen(['sleep', '30'])\ntime.sleep(30)"
MANY_THREADS = """
import threading, time
for _ in range(100):
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
time.sleep(30)
"""


def finish(code: str, limits: Limits, limit_s: float = 20) -> tuple[int, str]:
    process = launch([sys.executable, "-c", code], limits, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, errors = process.communicate(timeout=limit_s)
    finally:
        process.kill()
    return process.returncode, errors.strip()


@pytest.mark.parametrize(
    ("code", "limits", "told"),
    [
        (ALLOCATE, Limits(resident_bytes=200 * MB), "more than 0.195 GB of memory"),
        (TREE.format(code=ALLOCATE), Limits(resident_bytes=200 * MB), "more than 0.195 GB of memory"),
        ("while True: pass", Limits(cpu_s=1), "more than 1 s of processor time"),
        (TREE.format(code="while True: pass"), Limits(cpu_s=1), "more than 1 s of processor time"),
        (HUNDRED_SLEEPERS, Limits(processes=10), "more than 10 processes"),
        (MANY_THREADS, Limits(processes=5), "more than 80 threads"),
    ],
)
def test_a_limit_is_one_sentence(code: str, limits: Limits, told: str) -> None:
    exit_code, errors = finish(code, limits)
    assert exit_code == 2
    assert told in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_limits_of_the_kernel(tmp_path: Path) -> None:
    assert "MemoryError" in finish(ALLOCATE, Limits(allocated_bytes=200 * MB))[1]
    write = f"from pathlib import Path; Path({str(tmp_path / 'file')!r}).write_bytes(bytes({2 * MB}))"
    assert "File too large" in finish(write, Limits(file_bytes=MB))[1]
    told = finish(
        "import resource, sys; sys.exit(f'{resource.getrlimit(resource.RLIMIT_CORE)} "
        '{open("/proc/self/oom_score_adj").read()}\')',
        Limits(),
    )[1]
    assert told == "(0, 0) 500"


@pytest.mark.parametrize(
    ("code", "ended"), [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)]
)
def test_the_exit_code_is_the_commands(code: str, ended: int) -> None:
    assert finish(code, Limits())[0] == ended


def test_a_signal_reaches_the_command() -> None:
    code = (
        "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(9))\nprint('up', flush=True)\ntime.sleep(30)"
    )
    process = launch([sys.executable, "-c", code], Limits(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.wait(5) == 9


def test_nothing_is_left_when_the_command_ends_or_the_caller_dies() -> None:
    """A process that left its group, and a caller that was killed."""
    daemon = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
    process = launch([sys.executable, "-c", daemon], Limits(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    left = int(process.stdout.readline())
    process.wait(5)
    assert not alive(left)

    command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
    code = f"from automl_engine.run.child import *; launch({command!r}, Limits()); time.sleep(60)"
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    child = int(caller.stdout.readline())
    caller.kill()
    caller.wait()
    end = time.monotonic() + 5
    while alive(child):
        assert time.monotonic() < end, "the command outlived its caller"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_secrets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {
        **dict.fromkeys(("SECRET_KEY", "HF_TOKEN", "AWS_ACCESS_KEY_ID", "PGPASSWORD", "SENTRY_DSN", "REDIS_URL"), "x"),
        "MY_BROKER": "amqp://me:word@host/queue",
    }
    kept = {"TOKENIZERS_PARALLELISM": "0", "HOMEPAGE": "https://example.org/@me"}
    for name, value in {**secret, **kept}.items():
        monkeypatch.setenv(name, value)
    assert environment().items() >= kept.items()
    assert not environment().keys() & secret.keys()
    told = finish("import os, sys; sys.exit(' '.join(os.environ))", Limits())[1].split()
    assert not secret.keys() & set(told)
    assert set(told) <= {*os.environ, "LC_CTYPE"}
