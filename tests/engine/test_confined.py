"""What a confined child process tries, and what it gets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automl_engine.run import confined, isolation

NEEDED = pytest.mark.skipif(bool(confined.obstacle()), reason=confined.obstacle())
TRY = """
import ctypes, os, pathlib, shutil, socket, subprocess, sys, tempfile
for line in sys.argv[1:]:
    try:
        print(eval(line))
    except OSError as error:
        print(type(error).__name__)
"""


def inside(tmp_path: Path, *lines: str) -> list[str]:
    """What each expression gives, or the name of its error."""
    command = confined.wrap([sys.executable, "-c", TRY, *lines], [tmp_path / "read"], [tmp_path / "write"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=isolation.HERE.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("read", "write", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path


@NEEDED
def test_files(place: Path) -> None:
    site = isolation.HERE.parent
    refused = [
        f"open('{place}/other/file')",
        f"os.listdir('{place}')",
        f"os.listdir('{site}')",
        f"open('{site}/manage.py')",
        "open('/etc/shadow')",
        f"open('/proc/{os.getpid()}/environ').read()",
        f"open('{place}/read/file', 'a')",
        f"os.truncate('{place}/read/file', 0)",
        f"open('{place}/other/new', 'w')",
        f"os.rename('{place}/write/file', '{place}/read/moved')",
        f"os.symlink('/etc/passwd', '{place}/write/link')",
        f"os.mkfifo('{place}/write/pipe')",
        "open('/proc/sys/kernel/core_pattern', 'w')",
        f"open('{sys.prefix}/new', 'w')",
    ]
    told = dict(zip(refused, inside(place, *refused), strict=True))
    assert [line for line, error in told.items() if error not in ("PermissionError", "OSError")] == []
    allowed = [
        f"open('{place}/read/file').read()",
        f"open('{place}/write/new', 'w').write('made')",
        f"os.rename('{place}/write/new', '{place}/write/moved')",
        f"os.remove('{place}/write/moved')",
        f"tempfile.mkdtemp().startswith('{place}/write/')",
        "open('/dev/null', 'w').write('x')",
        "subprocess.run(['true']).returncode",
    ]
    assert inside(place, *allowed) == ["read", "4", "None", "None", "True", "1", "0"]
    assert sorted(path.name for path in (place / "other").iterdir()) == ["file"]


@NEEDED
def test_no_network_no_other_process_no_privileges(place: Path) -> None:
    lines = [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
        "ctypes.CDLL(None).syscall(425, 1, 0)",  # io_uring, which opens sockets, too
        f"os.kill({os.getpid()}, 0)",
        f"ctypes.CDLL(None).ptrace(16, {os.getpid()}, 0, 0)",
        "os.chroot('/usr')",
        "len(socket.socketpair())",
        "[int(line.split()[1], 16) & ~2 for line in open('/proc/self/status') if line[:6] in ('CapPrm', 'CapEff')]",
    ]
    refused, signals = ["PermissionError"], "PermissionError" if confined.version() >= 6 else "None"
    assert inside(place, *lines) == [*refused * 3, "-1", signals, "-1", *refused, "2", "[0, 0]"]


def test_a_module_of_ours_runs_and_finds_its_packages(place: Path) -> None:
    command = confined.wrap([*confined.MODULE, "automl_engine", "score", "--help"], [], [place / "write"])
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, cwd=isolation.HERE.parent)
    assert done.stdout.startswith("usage: python -m automl_engine score"), done.stderr
    assert time.monotonic() - begun < 20


def test_the_refusal_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in (confined, isolation):
        monkeypatch.setattr(check, "obstacle", lambda: "the kernel is old")
    refusal = confined.refusal.__wrapped__
    assert "set AUTODL_ALLOW_UNISOLATED=1" in refusal()
    monkeypatch.setenv("AUTODL_ALLOW_UNISOLATED", "1")
    assert refusal() == ""
