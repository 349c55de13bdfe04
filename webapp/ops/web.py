"""The web server on a socket that the supervisor has bound: ``python -m webapp.ops.web FILE_DESCRIPTOR``."""

from __future__ import annotations

import socket
import sys

import uvicorn


def main() -> None:
    config = uvicorn.Config(
        "webapp.asgi:application",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=2,  # live pages keep their connections open
        backlog=2048,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])


if __name__ == "__main__":
    main()
