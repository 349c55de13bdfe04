"""A new start of the site takes the place of one that runs on this machine (``up --replace``).

It is given the socket on which the site listens, so that no connection is refused or lost, starts beside the running
one, and says when it is ready.  Only then does the running one stop.  Should the new one fail, nothing has changed.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

READY = b"ready"
SIDES = ("", "-b")
"""Two starts beside each other name the sockets of their engines differently."""
ANSWER_LIMIT_S = 10.0


def address(folder: Path) -> Path:
    return folder / "up.sock"


class Offer:
    """What the running one offers to the next."""

    def __init__(self, path: Path, side: str, listener: socket.socket | None) -> None:
        self._told = side.encode() or b"-"
        self._fds = [listener.fileno()] if listener else []
        self._next: socket.socket | None = None
        path.unlink(missing_ok=True)  # of one that is gone, or that we replace
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._server.setblocking(False)

    def is_taken(self) -> bool:
        """Whether the next one is ready; asked again and again, it gives the socket to whoever comes."""
        with suppress(BlockingIOError):
            if self._next is None:
                self._next, _ = self._server.accept()
                self._next.setblocking(False)
                socket.send_fds(self._next, [self._told], self._fds)
            said = self._next.recv(len(READY))
            if said == READY:
                return True
            self._next.close()  # it failed
            self._next = None
        return False


class Running:
    """The start that is to be replaced."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if none runs here."""
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(ANSWER_LIMIT_S)
        self._connection.connect(str(path))
        told, fds, _, _ = socket.recv_fds(self._connection, 16, 1)
        if not told:
            raise ConnectionResetError("the running one has just ended")
        self.side = "" if told == b"-" else told.decode()
        self.listener = socket.socket(fileno=fds[0]) if fds else None

    def say_ready(self) -> None:
        self._connection.sendall(READY)
