"""The web server on a socket that the supervisor has bound: ``python -m webapp.ops.services.web SOCKET [READY]``.

Both are file descriptors; a byte goes to READY once pages are served.
SIGTERM: /readyz says that it stops, DRAIN_S later it takes no new connections, and what is under way ends first, within
STOP_GRACE_S.  SIGINT: the same without DRAIN_S, for another process serves the same socket.  A second signal ends all.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from types import FrameType
from typing import Any

import uvicorn
from django.conf import settings
from django.template.loader import get_template
from django.urls import get_resolver

from webapp.asgi import application
from webapp.ops.health.ending import ending

FILES_MAX = 65_536  # each live page is an open connection
SETTLE_S = 0.3  # who has just connected is about to ask


class Server(uvicorn.Server):
    """It ends without breaking off what it has begun."""

    def __init__(self, config: uvicorn.Config, ready_fd: int | None) -> None:
        super().__init__(config)
        self._ready_fd = ready_fd
        self._closes_at = float("inf")
        self._hurried = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready_fd is not None:
            os.write(self._ready_fd, b".")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if ending.told:
            self._hurried = True
        ending.told = True
        self._closes_at = time.monotonic() + (settings.DRAIN_S if sig == signal.SIGTERM and not self._hurried else 0)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or time.monotonic() >= self._closes_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        ending.closed = True
        await asyncio.sleep(SETTLE_S)
        last = asyncio.create_task(super().shutdown(sockets))
        while not last.done() and not self._hurried:
            await asyncio.sleep(0.1)
        if not last.done():
            for task in self.server_state.tasks:
                task.cancel()
        await last


def saying_goodbye(app: Any) -> Any:
    """Once it is told to stop, each answer closes its connection: the next request makes one to another process."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        async def send_on(message: Any) -> None:
            if ending.told and message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        await app(scope, receive, send_on)

    return wrapped


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(most, FILES_MAX) if most != resource.RLIM_INFINITY else FILES_MAX, most)
    )
    port_fd, ready_fd = [*map(int, sys.argv[1:]), None][:2]
    assert port_fd is not None
    assert get_resolver().url_patterns  # all pages are loaded before the first is asked for
    get_template("ops/home.html")
    config = uvicorn.Config(
        saying_goodbye(application),
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=settings.STOP_GRACE_S,
        backlog=2048,
    )
    Server(config, ready_fd).run(sockets=[socket.socket(fileno=port_fd)])


if __name__ == "__main__":
    main()
