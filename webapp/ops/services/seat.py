"""What only one start of the site can have: the data folder and the port.  A new one may wait to take them over."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from webapp import settings
from webapp.ops import processes
from webapp.ops.services import handover
from webapp.ops.services.plan import sockets


class StartError(Exception):
    """We cannot start; the message is one sentence with what to do."""


class Seat:
    """The data folder and the port, of which only one start has the use, and who has them before us."""

    def __init__(self, role: str, replace: bool) -> None:
        """Raises StartError if another one is running, and is not to be replaced or does not answer."""
        host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
        self._path = handover.address(sockets(role))
        self._offer: handover.Offer | None = None
        self.needs_redis = role != "worker" and not settings.REDIS_URL
        self.running = self._running() if replace else None
        self.lock = open_lock(settings.DATA_DIR, role)
        self._is_ours = self.running is None
        if self._is_ours:
            take_lock(self.lock, settings.DATA_DIR)
        self.listener: socket.socket | None = None
        if role != "worker":
            self.listener = (self.running and self.running.listener) or take_port(host, port)
        self.side = next(side for side in handover.SIDES if not self.running or side != self.running.side)
        self.web_ready, self._web_says = os.pipe() if self.listener else (0, 0)

    def _running(self) -> handover.Running | None:
        try:
            return handover.Running(self._path)
        except OSError:  # there is none, or it cannot be asked: then the lock tells
            return None

    @property
    def web_fds(self) -> tuple[int, ...]:
        return (self.listener.fileno(), self._web_says) if self.listener else ()

    def write(self, url: str) -> None:
        self.lock.truncate(0)
        self.lock.write(json.dumps({"pid": os.getpid(), "url": url}))
        self.lock.flush()

    def take(self) -> None:
        """We are ready: who runs beside us may stop, and the next one asks us."""
        self._offer = handover.Offer(self._path, self.side, self.listener)
        if self.running:
            with suppress(ConnectionError):  # it was killed meanwhile
                self.running.say_ready()

    def becomes_ours(self, url: str) -> bool:
        """Whether the one before has ended just now."""
        if self._is_ours or not is_locked(self.lock):
            return False
        self._is_ours = True
        self.write(url)
        return True

    def leave(self) -> None:
        """From now on only the web server holds the socket: once it has closed it, who connects is refused at once."""
        if self.listener:
            self.listener.close()

    def is_taken(self) -> bool:
        return self._offer is not None and self._offer.is_taken()


def open_lock(data_dir: Path, role: str) -> IO[str]:
    """Only one of us at a time, and one of each machine in the role of a worker, works on a DATA_DIR."""
    name = f"worker-{socket.gethostname()}.lock" if role == "worker" else "up.lock"
    return open(data_dir / name, "a+")  # held until the process ends


def is_locked(lock: IO[str]) -> bool:
    """Whether it is ours now; it lives as long as we or our guard do."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_lock(lock: IO[str], data_dir: Path) -> None:
    """Raises StartError when another one is running."""
    deadline = time.monotonic() + 15
    while not is_locked(lock):
        lock.seek(0)
        other = json.loads(lock.read() or "{}")
        if is_running(other.get("pid", 0)) or time.monotonic() > deadline:  # else its guard is clearing up
            raise StartError(
                f"AutoDL Self-Service already uses the data folder {data_dir}: open {other.get('url')}, or stop it "
                "(Ctrl-C there), or use another folder, as in: DATA_DIR=/some/folder PORT=8001 make run"
            )
        time.sleep(0.2)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and processes.is_alive(psutil.Process(pid))


def take_port(host: str, port: str) -> socket.socket:
    """Listen before anything is started, and keep it: who connects while the web server restarts waits, no more.

    Raises:
        StartError: it is in use, or not ours to use.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
        listener.listen()
        return listener
    except (OSError, OverflowError, ValueError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(
            f"Port {port} is not available ({reason}); choose another one, as in: PORT=8010 make run"
        ) from None


def local_address(listener: socket.socket) -> tuple[str, int]:
    """Where this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104
