"""A process that keeps models loaded, so that a prediction takes a fraction of a second.

    python -m automl_engine.package.resident SOCKET

It speaks as the waiting engine does (``run/warm.py``): ``warm.start`` sends it the command line of a prediction.  Each
of the last few models has a fork of its own, under the limits of a reader, which loads the model once and answers one
request after the other.  A fork that crashes, that hits a limit or that nobody asks for some minutes is gone; the next
request makes a new one.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from automl_engine.run import child, warm
from automl_engine.run.forked import fork, print_to

MODELS = 3
"""Number of models that stay loaded."""
IDLE_S = 300.0
LARGE = 0.5
"""Fraction of the memory of a reader beyond which a fork ends after its answer: its libraries may not give it back."""
LIBRARIES = ("onnxruntime", "lightgbm", "xgboost", "cv2", "PIL.Image", "soundfile", "scipy.signal", "scipy.sparse")
"""Modules that predictors and formatters import when they are first used."""


class Resident:
    """The fork of one model, which reads and writes in the folder of that model alone."""

    def __init__(self, model: Path, listener: socket.socket) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:

            def serve() -> int:
                listener.close()
                self._control.close()
                return _serve(theirs)

            forked = fork(serve, child.reader_limits(), sys.stderr.buffer, [], [model.parent])
            self._process = psutil.Process(forked.pid)

    def hand_over(self, arguments: list[str], connection: socket.socket, log: int) -> bool:
        """Let it answer the connection; False if it is gone."""
        try:
            socket.send_fds(self._control, [json.dumps(arguments).encode()], [connection.fileno(), log])
        except OSError:
            self.end()
            return False
        return True

    def end(self) -> None:
        self._control.close()
        with suppress(psutil.NoSuchProcess):
            self._process.terminate()


def main(arguments: Sequence[str]) -> int:
    """Import, then pass each connection on to the fork of its model until we are ended."""
    warm.drop_secrets("automl_engine.package.resident", arguments)
    import_all()
    gc.freeze()  # as in the waiting engine
    residents: dict[str, Resident] = {}  # by the path of the model, the one last used at the end
    with warm.listening(Path(arguments[0])) as listener:
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):  # whoever has left gets no answer
                if order := warm.take_order(connection):
                    _pass_on(*order, connection, residents, listener)


def _pass_on(
    arguments: list[str], log: int, connection: socket.socket, residents: dict[str, Resident], listener: socket.socket
) -> None:
    _, model, *_ = arguments
    resident = residents.pop(model, None)
    if resident is None or not resident.hand_over(arguments, connection, log):
        resident = Resident(Path(model), listener)
        resident.hand_over(arguments, connection, log)
    os.close(log)
    residents[model] = resident
    for oldest in list(residents)[:-MODELS]:
        residents.pop(oldest).end()


def import_all() -> None:
    """What a prediction of any modality needs, of ours and of others."""
    from importlib import import_module

    from automl_engine import __main__  # noqa: F401
    from automl_engine.features import FEATURES, feature
    from automl_engine.package import predictor  # noqa: F401
    from formatters import FORMATTERS

    for name in (*LIBRARIES, *FORMATTERS.values()):
        import_module(name)
    for name in FEATURES:
        feature(name)


def _serve(control: socket.socket) -> int:
    """In a fork: answer one request after the other."""
    control.settimeout(IDLE_S)
    own_log = os.dup(2)
    while True:
        try:
            order, (descriptor, log), _, _ = socket.recv_fds(control, warm.ORDER_MAX_BYTES, 2)
        except TimeoutError:
            control.shutdown(socket.SHUT_RDWR)  # what was sent before is still answered, more is refused
            continue
        except ValueError:  # there is no more
            return 0
        with socket.socket(fileno=descriptor) as connection:
            connection.settimeout(warm.CONNECT_LIMIT_S)
            if warm.is_wanted(connection):
                print_to(log)
                code = answer(json.loads(order))
                print_to(own_log)
                with suppress(OSError):
                    connection.sendall(str(code).encode())
        os.close(log)
        if psutil.Process().memory_info().rss > LARGE * child.reader_memory_bytes():
            control.shutdown(socket.SHUT_RDWR)


def answer(arguments: list[str]) -> int:
    """What the command line does; the predictor keeps its model loaded."""
    from automl_engine.__main__ import main

    return main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
