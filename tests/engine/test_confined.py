"""What a confined child process tries, and what it gets."""

from __future__ import annotations

import errno
import os
import resource
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from automl_engine.run import child, confined, isolation, syscalls
from webapp import engine

NEEDED = pytest.mark.skipif(bool(confined.obstacle()), reason=confined.obstacle())
TRY = """
import ctypes, fcntl, os, pathlib, resource, shutil, socket, subprocess, sys, tempfile
def errno_of(action):
    try:
        action()
    except OSError as error:
        return error.errno
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
    refused = ["PermissionError"]
    assert inside(place, *lines) == [*refused * 3, "-1", *refused, "-1", *refused, "2", "[0, 0]"]


def test_a_kernel_that_lets_signals_pass_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "PROBE", confined.PROBE.replace("os.kill(os.getppid(), 0)", "None"))
    assert "signals to other processes (Landlock 6, Linux 6.12)" in confined.obstacle.__wrapped__()


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


@NEEDED
def test_other_processes_and_files_of_the_user(place: Path) -> None:
    """What Landlock leaves to every process: limits of others, modes of files, names of new files, shared memory."""
    other = subprocess.Popen(["sleep", "60"])
    file = place / "other" / "file"
    file.chmod(0o640)
    before = (resource.prlimit(other.pid, resource.RLIMIT_NOFILE), file.stat().st_mode, file.stat().st_mtime_ns)
    refused = [
        f"resource.prlimit({other.pid}, resource.RLIMIT_NOFILE, (1, 1))",
        f"os.setpriority(os.PRIO_PROCESS, {other.pid}, 19)",
        f"os.sched_setaffinity({other.pid}, {{0}})",
        "os.setsid()",
        "os.setpgid(0, 0)",
    ]
    calls = ["inotify_init1(0)", "shmget(0, 4096, 0o1600)", "semget(0, 1, 0o1600)", "msgget(0, 0o1600)"]
    calls = [f"ctypes.CDLL(None).{call}" for call in calls]
    calls.append("ctypes.CDLL(None).syscall(248, b'user', b'name', b'value', 5, -3)")  # add_key on x86
    allowed = [
        f"os.chmod('{file}', 0o777)",
        f"os.utime('{file}', (0, 0))",
        "os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0))",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "shutil.copy(sys.executable, tempfile.gettempdir()).startswith('/')",
    ]
    told = inside(place, *refused, *calls, *allowed)
    assert told == ["PermissionError"] * len(refused) + ["-1"] * len(calls) + ["None"] * 4 + ["True"]
    now = (resource.prlimit(other.pid, resource.RLIMIT_NOFILE), file.stat().st_mode, file.stat().st_mtime_ns)
    assert now == before
    other.kill()
    other.wait()


def test_the_filter_names_each_call_once_and_its_jumps_stay_inside() -> None:
    for machine, (_, column) in syscalls.MACHINES.items():
        own = {name: numbers for name, (numbers, _) in syscalls.OF_ITSELF.items()}
        numbers = [pair[column] for pair in (syscalls.REFUSED | syscalls.WITHOUT_EFFECT | own).values() if pair[column]]
        assert len(set(numbers)) == len(numbers)
        for program in (syscalls.program, syscalls.isolated_program):
            lines = list(struct.iter_unpack("HBBI", program(machine)))
            steps = [number + max(yes, no) for number, (_, yes, no, _) in enumerate(lines)]
            assert max(steps) == len(lines) - 1, "the last line, an answer"


FORKS_FOR_EVER = """
import os, sys, time
if os.fork():
    time.sleep(float(sys.argv[1]))
    sys.exit(0)
try:
    os.setsid()
except OSError:
    pass
begun = time.monotonic()
while time.monotonic() < begun + 20:
    if os.fork():
        os._exit(0)
open("alive", "w").close()
"""


@NEEDED
@pytest.mark.parametrize("stopped", [False, True])
def test_what_forks_without_end_ends_with_the_command(place: Path, stopped: bool) -> None:
    """Each of its processes lives for a moment only, so that none can be found and killed in time."""
    lasts_s = "60" if stopped else "0.3"
    command = confined.wrap([sys.executable, "-S", "-c", FORKS_FOR_EVER, lasts_s], [], [place / "write"])
    process = child.launch(command, child.Limits(), cwd=isolation.HERE.parent)
    if stopped:
        time.sleep(0.6)
        engine.end(process)
    assert process.wait(10) == (-9 if stopped else 0)
    mark = str(place / "write")
    alive = [told for told in psutil.process_iter(["environ"]) if (told.info["environ"] or {}).get("TMPDIR") == mark]
    assert not alive
    time.sleep(0.5)
    first, second = (int(Path("/proc/loadavg").read_text().split()[-1]) for _ in range(2) if not time.sleep(0.5))
    assert second - first < 200, "it makes thousands of processes a second"


@NEEDED
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_of_gpus_can_be_used_and_no_others(place: Path) -> None:
    """Two nodes of the device null, one named as a GPU's: opened, mapped and asked by ioctl, which CUDA lives on."""
    nodes = [Path("/dev/nvidia-of-a-test"), Path("/dev/other-of-a-test")]
    try:
        for node in nodes:
            os.mknod(node, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this machine lets us make no devices")
    try:
        tried = [f"open('{node}', 'r+b', 0).write(b'x')" for node in nodes]
        asked = f"errno_of(lambda: fcntl.ioctl(open('{nodes[0]}', 'rb', 0), 0x5401))"
        assert inside(place, *tried, asked) == ["1", "PermissionError", str(errno.ENOTTY)], "as outside"
    finally:
        for node in nodes:
            node.unlink()


def test_the_device_that_cuda_makes_at_its_first_use_is_made_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-modprobe"
    tool.write_text(f"#!/bin/sh\necho $* > {tmp_path}/nvidia-uvm\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(isolation, "DEV", tmp_path)
    isolation.make_devices()
    assert not (tmp_path / "nvidia-uvm").exists(), "a machine without a GPU"
    (tmp_path / "nvidiactl").touch()
    isolation.make_devices()
    assert (tmp_path / "nvidia-uvm").read_text() == "-u -c=0\n"
