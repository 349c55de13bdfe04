"""An engine that has its imports done and waits: a run that it forks starts two seconds earlier.

    python -m automl_engine.run.warm SOCKET

``start`` sends a command line of the engine to the socket; the waiting process forks itself, and the fork does what
``python -m automl_engine ...`` does.  The fork that trains comes from there, too, so that neither imports anything.
The waiting process has no threads, no TensorFlow and no CUDA context, which a fork cannot take along, and it never
computes.  Its environment holds no secrets.  Foreign code is never forked: it gets a process of its own.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from automl_engine.run import child
from automl_engine.run.forked import Forked, print_to, wait_for

CONNECT_LIMIT_S = 2.0
ORDER_MAX_BYTES = 2**16
LIBRARIES = ("sklearn.ensemble", "sklearn.linear_model", "lightgbm", "PIL.Image", "scipy.signal", "scipy.sparse")
"""Modules that the models import when they are built or begin to learn."""


class Remote:
    """What a waiting process does for us in one of its forks; used as a ``Popen``.  It ends when we do."""

    def __init__(self, connection: socket.socket) -> None:
        self.returncode: int | None = None
        self.pid = int(connection.recv(64))
        connection.sendall(b"\n")  # only now it starts: who has waited too long starts a process instead
        connection.setblocking(False)
        self._connection = connection

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                answer = self._connection.recv(64)
            except BlockingIOError:
                return None
            except ConnectionError:
                answer = b""
            self.returncode = int(answer) if answer else -signal.SIGKILL  # it could not tell how it ended
            self.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        return wait_for(self.poll, timeout)

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Leave it: it ends."""
        self._connection.close()


def start(path: Path | None, arguments: Sequence[str], log: IO[bytes]) -> Remote | None:
    """Let the process that waits at ``path`` run a command line of the engine; None when none waits.

    Args:
        log: gets what the command prints.
    """
    if path is None:
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_LIMIT_S)
    try:
        connection.connect(str(path))
        socket.send_fds(connection, [json.dumps(list(arguments)).encode()], [log.fileno()])
        return Remote(connection)
    except (OSError, ValueError):  # not there, not ready, or gone before it answered
        connection.close()
        return None


def main(arguments: Sequence[str]) -> int:
    """Import, then fork a run for each connection until we are ended."""
    drop_secrets("automl_engine.run.warm", arguments)
    import_all()
    gc.freeze()  # a fork that collects garbage need not look at, and so copy, what was imported
    with listening(Path(arguments[0])) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                Forked(lambda: _serve(listener, connection))  # noqa: B023  it runs before the next round


def drop_secrets(module: str, arguments: Sequence[str]) -> None:
    """Start this process anew without secrets in its environment, which forks inherit and may read."""
    clean = child.environment()
    if clean != dict(os.environ):
        os.execve(sys.executable, [sys.executable, "-m", module, *arguments], clean)  # noqa: S606


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket that ``start`` finds; a file beside it holds our process id."""
    path.with_suffix(".pid").write_text(str(os.getpid()))
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        usual = os.umask(0o177)  # who can connect runs code as we
        listener.bind(str(path))
        os.umask(usual)
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks here
        yield listener


def take_order(connection: socket.socket) -> tuple[list[str], int] | None:
    """The command line that ``start`` sent, and the descriptor of its log; None if somebody only looked for us."""
    connection.settimeout(CONNECT_LIMIT_S)
    order, logs, _, _ = socket.recv_fds(connection, ORDER_MAX_BYTES, 1)
    return (json.loads(order), logs[0]) if order else None


def import_all() -> None:
    """What a run of any modality needs, of ours and of others."""
    from importlib import import_module

    from automl_engine import __main__  # noqa: F401
    from automl_engine.models import model_class
    from automl_engine.portfolio import load
    from automl_engine.run import ingestion, supervisor  # noqa: F401

    for name in LIBRARIES:
        import_module(name)
    for name in ("auto", *(row.model for row in load() if row.enabled)):
        model_class(name)


def _serve(listener: socket.socket, connection: socket.socket) -> int:
    """In a fork: one run, whose exit code goes back over the connection; should that close, the run ends."""
    listener.close()
    order = take_order(connection)
    if order is None or not is_wanted(connection):
        return 0
    arguments, log = order
    print_to(log)
    connection.setblocking(False)
    code = child.supervise(
        lambda: Forked(lambda: _run(connection, arguments)), child.Limits(), lambda: _is_closed(connection)
    )
    with suppress(BrokenPipeError):
        connection.sendall(str(code).encode())
    return 0


def is_wanted(connection: socket.socket) -> bool:
    """Tell who we are; they may have left, should we have been slow."""
    try:
        connection.sendall(str(os.getpid()).encode())
        return bool(connection.recv(1))
    except OSError:
        return False


def _run(connection: socket.socket, arguments: list[str]) -> int:
    from automl_engine.__main__ import main

    connection.close()
    child.prepare(child.Limits())
    return main(arguments, is_preloaded=True)


def _is_closed(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
