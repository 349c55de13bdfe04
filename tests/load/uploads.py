"""Many files come at once."""

from __future__ import annotations

import asyncio
import time

from tests.load.site import Sampler, Site, make_users, used_s

UPLOADS, UPLOAD_BYTES = 50, 20 * 2**20


def uploads(site: Site) -> None:
    from webapp.api.models import ApiToken

    tokens = [ApiToken.make(user, "load")[1] for user in make_users(UPLOADS)]
    web = site.start_web()
    site.get("/")
    site.tell("web process before uploads", web.memory_info().rss / 2**20, "MB")
    sampler = Sampler(web)
    sampler.start()
    before_s = used_s(web)
    begun = time.monotonic()
    answers = asyncio.run(send_all(site.port, tokens))
    seconds = time.monotonic() - begun
    if answers != [b"201"] * UPLOADS:
        raise RuntimeError(f"not all uploads were taken: {answers}")
    site.tell(
        f"web process during {UPLOADS} uploads of {UPLOAD_BYTES >> 20} MB", sampler.end()["memory"] / 2**20, "MB", 300
    )
    site.tell("processor time an upload", 1000 * (used_s(web) - before_s) / UPLOADS, "ms")
    site.tell("all uploads", seconds, "s")


async def send_all(port: int, tokens: list[str]) -> list[bytes]:
    """Each token sends a table at the same time; returns the codes of the answers."""
    block = b"1.25,2.5,yes\n" * 4096
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    blocks = UPLOAD_BYTES // len(block)

    async def send(token: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        size = len(head) + blocks * len(block) + len(b"\r\n--x--\r\n")
        lines = ["POST /api/datasets HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
        lines += [
            "Content-Type: multipart/form-data; boundary=x",
            f"Content-Length: {size}",
            "Connection: close",
            "",
            "",
        ]
        writer.write("\r\n".join(lines).encode() + head)
        for _ in range(blocks):
            writer.write(block)
            await writer.drain()
        writer.write(b"\r\n--x--\r\n")
        status = (await reader.readline()).split()
        writer.close()
        return status[1] if len(status) > 1 else b""

    return await asyncio.gather(*map(send, tokens))
