"""A child process that reads and writes what its work needs, and reaches no network.

``wrap`` starts a command so; ``confine`` does it to this process.  Landlock (Linux 5.19 or newer) grants the named
files and folders, the system's programs and the Python packages, and nothing else; a seccomp filter (syscalls.py)
refuses sockets and what else would reach other processes and files.  Both need no privileges and work in containers.
Where the kernel lacks one, the other is used; ``obstacle`` says so.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import runpy
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from automl_engine.run import isolation, syscalls
from automl_engine.run.isolation import libc

PACKAGES = ("automl_engine", "formatters")
SHARED_MEMORY = "/dev/shm"  # noqa: S108  semaphores of multiprocessing are made there
OVERRIDE = "AUTODL_ALLOW_UNISOLATED"
"""Set to 1, foreign code runs even where nothing keeps it from files and network."""
MODULE = [sys.executable, "-m"]
PROBE = """
import os, socket
def refused(action):
    try:
        action()
    except PermissionError:
        return 1
    return 0
print(refused(lambda: os.listdir(FOLDER)), refused(socket.socket), refused(lambda: os.kill(os.getppid(), 0)))
"""
PROBE_LIMIT_S = 30

# Landlock: rights by bit
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14
_REMOVE, _MAKE_DIR, _MAKE_FILE, _MOVE = 1 << 4 | 1 << 5, 1 << 7, 1 << 8, 1 << 13
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REMOVE | _MAKE_DIR | _MAKE_FILE | _MOVE
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_LEAST, _TRUNCATE_FROM, _SCOPES_FROM = 2, 3, 6
_SCOPES = 0b11  # abstract sockets and signals of processes outside
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _BENEATH = 444, 445, 446, 1
_O_PATH = getattr(os, "O_PATH", 0)

_PR_SET_NO_NEW_PRIVS = 38
_CAPGET_CAPSET = {"x86_64": (125, 126), "aarch64": (90, 91)}
_CAPABILITY_VERSION, _DAC_OVERRIDE = 0x20080522, 1 << 1


def wrap(command: Sequence[str], read: Iterable[Path], write: Iterable[Path]) -> list[str]:
    """The command confined: a module of ours (``python -m MODULE``), or another interpreter with a program."""
    order = {"read": [str(path.absolute()) for path in read], "write": [str(path.absolute()) for path in write]}
    return [*MODULE, "automl_engine.run.confined", json.dumps(order), *command]


def confine(read: Iterable[Path | str], write: Sequence[Path | str]) -> None:
    """Take from this process, for good, what it doesn't need.

    It should have one thread: others keep what they have.  Temporary files go into the first of the folders to write.
    """
    if sys.platform != "linux":
        return
    isolation.make_devices()
    tempfile.tempdir = os.environ["TMPDIR"] = str(write[0])
    readable = [*isolation.system_paths(), "/proc", "/sys", *_package_folders(PACKAGES), *read]
    devices = [f"/dev/{name}" for name in isolation.devices()]
    libc("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if version() >= _LEAST:
        _restrict_files(readable, [*devices, SHARED_MEMORY, *write])
    _drop_capabilities()
    syscalls.restrict()


@cache
def version() -> int:
    """Of Landlock; 0 without it."""
    return max(0, ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, 1)) if sys.platform == "linux" else 0


@cache
def obstacle() -> str:
    """What child processes can do here although they should not, found by trying; empty: nothing."""
    if sys.platform != "linux":
        return "this needs Linux"
    probe = PROBE.replace("FOLDER", repr(str(isolation.HERE.parent)))
    with tempfile.TemporaryDirectory() as folder:
        command = wrap([sys.executable, "-c", probe], [], [Path(folder)])
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=isolation.HERE.parent, timeout=PROBE_LIMIT_S, check=True
        )
    files, network, signals = (answer == "1" for answer in done.stdout.split())
    found = {
        "files (Landlock 3, Linux 6.2)": files and version() >= _TRUNCATE_FROM,
        "sockets": network,
        "signals to other processes (Landlock 6, Linux 6.12)": signals,
    }
    return "; ".join(f"the kernel does not restrict {what}" for what, restricted in found.items() if not restricted)


@cache
def refusal() -> str:
    """Why foreign code may not run here; empty: it may."""
    namespaces = isolation.obstacle()
    if not namespaces or not obstacle() or os.environ.get(OVERRIDE) == "1":
        return ""
    return (
        f"This machine cannot isolate foreign code ({namespaces}; {obstacle()}): use another one, or set {OVERRIDE}=1 "
        "to run it with all rights of the worker."
    )


def _package_folders(names: Iterable[str]) -> list[str]:
    """Imported now: the folder that holds them cannot be listed later."""
    return [folder for name in names for folder in import_module(name).__path__]


def _restrict_files(read: Iterable[Path | str], write: Iterable[Path | str]) -> None:
    """All rights up to that of moving or, where the kernel knows it, of truncating are taken; these are given back."""
    handled = (1 << (13 if version() < _TRUNCATE_FROM else 14) + 1) - 1
    scopes = _SCOPES if version() >= _SCOPES_FROM else 0
    attributes = struct.pack("QQQ", handled, 0, scopes)[: 24 if scopes else 8]
    rules = libc("syscall", _CREATE_RULESET, attributes, len(attributes), 0)
    for paths, rights in ((read, _READ), (write, _WRITE)):
        for path in {str(path) for path in paths}:
            _grant(rules, path, rights & handled)
    libc("syscall", _RESTRICT_SELF, rules, 0)
    os.close(rules)


def _grant(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, _O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # nor can this process reach it later
        return
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= _OF_FILES
    libc("syscall", _ADD_RULE, rules, _BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)


def _drop_capabilities() -> None:
    """Of root, which a site in a container may be, but for reading files of others; no new privileges: none comes back.

    Which files these are is Landlock's matter.
    """
    if platform.machine() not in _CAPGET_CAPSET:
        return
    capget, capset = _CAPGET_CAPSET[platform.machine()]
    header, held = struct.pack("Ii", _CAPABILITY_VERSION, 0), ctypes.create_string_buffer(24)
    libc("syscall", capget, header, held)
    kept = struct.unpack("6I", held.raw)[0] & _DAC_OVERRIDE
    libc("syscall", capset, header, struct.pack("6I", kept, kept, 0, 0, 0, 0))


def main(arguments: Sequence[str]) -> None:
    """The script: confine this process, then be the command."""
    order, command = json.loads(arguments[0]), list(arguments[1:])
    module = command[2] if command[:2] == MODULE else ""
    own = _package_folders([module.partition(".")[0]] if module else [])
    confine([*order["read"], *own], order["write"])
    if not module:
        os.execve(command[0], command, os.environ)  # noqa: S606  a list needs no shell
    sys.argv = command[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
