"""The web server on a socket that the supervisor has bound: ``python -m webapp.ops.services.web FILE_DESCRIPTOR``."""

from __future__ import annotations

import resource
import socket
import sys

import uvicorn

FILES_MAX = 65_536  # each live page is an open connection


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(most, FILES_MAX) if most != resource.RLIM_INFINITY else FILES_MAX, most)
    )
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
