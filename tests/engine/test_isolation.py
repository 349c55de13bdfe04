"""What foreign code tries, and what it gets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automl_engine.run import isolation

NEEDED = pytest.mark.skipif(bool(isolation.obstacle()), reason=isolation.obstacle())


def inside(code: str, tmp_path: Path, env: dict[str, str] | None = None) -> str:
    """What the code prints or ends with, inside."""
    read, write = tmp_path / "read", tmp_path / "write"
    for folder in (read, write):
        folder.mkdir(exist_ok=True)
    command = isolation.wrap([sys.executable, "-c", code], [read], [write])
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=env)
    return (done.stdout + done.stderr).strip()


@NEEDED
def test_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        assert "Network is unreachable" in inside(code, tmp_path) or "refused" in inside(code, tmp_path)


@NEEDED
def test_sockets_that_no_namespace_holds_back(tmp_path: Path) -> None:
    for family in (29, 31, 40):  # CAN, Bluetooth, VSOCK: not every Python names them
        assert "PermissionError" in inside(f"import socket; socket.socket({family}, 1)", tmp_path), family
    assert inside("import socket; socket.socket(socket.AF_UNIX); print(len(socket.socketpair()))", tmp_path) == "2"


@NEEDED
def test_files(tmp_path: Path) -> None:
    """The named folders alone, not what lies beside them; nor the site's folder, nor keys."""
    (tmp_path / "secret").write_text("hidden")
    (tmp_path / "read").mkdir()
    (tmp_path / "read" / "file").write_text("open")
    hidden = [
        tmp_path / "secret",
        isolation.HERE.parent / "manage.py",
        Path("/etc/shadow"),
        Path("/proc/1/root/etc/shadow"),
    ]
    code = f"from pathlib import Path; print([Path(p).exists() for p in {[str(p) for p in hidden]!r}])"
    assert inside(code, tmp_path) == str([False] * 4)
    assert inside(f"print(open({str(tmp_path / 'read' / 'file')!r}).read())", tmp_path) == "open"
    assert "Read-only" in inside(f"open({str(tmp_path / 'read' / 'file')!r}, 'w')", tmp_path)
    inside(f"open({str(tmp_path / 'secret')!r}, 'w').write('other')", tmp_path)
    assert (tmp_path / "secret").read_text() == "hidden", "the temporary folder inside is another"
    for call in ("os.symlink('/etc/passwd', {!r})", "os.mkfifo({!r})"):
        assert "Permission" in inside(f"import os; {call.format(str(tmp_path / 'write' / 'link'))}", tmp_path)
    for system in (sys.prefix, "/usr", "/etc", "/proc/sys/kernel"):
        assert "Error" in inside(f"open({system + '/core_pattern'!r}, 'w')", tmp_path)
    inside(f"import os; os.umask(0); open({str(tmp_path / 'write' / 'file')!r}, 'w').write('made')", tmp_path)
    assert (tmp_path / "write" / "file").read_text() == "made"
    assert inside("import tempfile; tempfile.TemporaryFile().write(b'x'); print('ok')", tmp_path) == "ok"
    moved = (
        "import os; os.makedirs('/tmp/a/b'); os.mkdir('/tmp/a/b/c'); os.rename('/tmp/a/b/c', '/tmp/a/c'); print('ok')"
    )
    assert inside(moved, tmp_path) == "ok", "TensorFlow moves the parts of a checkpoint"


@NEEDED
def test_no_tools_no_privileges_no_way_back(tmp_path: Path) -> None:
    tools = "import shutil; print([shutil.which(t) for t in ('pip', 'curl', 'wget', 'apt-get', 'conda', 'git', 'sh')])"
    assert inside(tools, tmp_path) == str([None] * 7)
    assert inside("import os; print(os.system('pip --version') != 0)", tmp_path).startswith("True")
    privileges = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')])"
    assert inside(privileges, tmp_path) == str(["0" * 16] * 5)
    mount = "print(libc.umount2(b'/proc', 2), libc.mount(b'a', b'/tmp', b'tmpfs', 0, None))"
    assert inside(f"import ctypes; libc = ctypes.CDLL(None); {mount}", tmp_path) == "-1 -1"
    again = (
        "import ctypes; libc = ctypes.CDLL(None); libc.unshare(0x10020000); "
        "print(libc.umount2(b'/proc', 2), libc.mount(None, b'/usr', None, 0x1020, None))"  # remount to write
    )
    assert inside(again, tmp_path) == "-1 -1"


@NEEDED
def test_no_other_process(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        assert str(os.getpid()) in inside("import os; print(os.listdir('/proc'))", tmp_path)
    assert "ProcessLookupError" in inside(f"import os; os.kill({os.getpid()}, 0)", tmp_path)


@NEEDED
def test_signals_and_codes_pass(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(9))\nprint('up', flush=True)\ntime.sleep(30)"
    )
    process = subprocess.Popen(isolation.wrap([sys.executable, "-c", code], [], []), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.terminate()
    assert process.wait(5) == 9
    began = time.monotonic()
    killed = isolation.wrap([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), 11)"], [], [])
    assert subprocess.run(killed).returncode in (-signal.SIGSEGV, 0), "the first process of a namespace may ignore it"
    assert time.monotonic() - began < 5
