"""No request may send more than its address can use.

Django spools a body to disk before it looks at who sent it; without this limit anybody could fill the disk.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from webapp.portfolio.imports import MAX_BYTES as IMPORT_MAX_BYTES
from webapp.runs.tryout import MAX_BYTES as TRY_MAX_BYTES

MARGIN_BYTES = 2**20  # the other fields of a form, and the lines between them
FORM_MAX_BYTES = 4 * 2**20  # a pasted text


class TooLarge(Exception):
    """More bytes came than this address takes."""


def limit_bytes(path: str) -> int:
    """The most that a request to ``path`` may send."""
    if path.startswith(("/uploads/", "/data/upload", "/api/datasets")):
        return settings.UPLOAD_MAX_BYTES + MARGIN_BYTES
    if path == "/portfolio/import":
        return IMPORT_MAX_BYTES + MARGIN_BYTES
    if path.endswith("/predict"):
        return TRY_MAX_BYTES + MARGIN_BYTES
    return FORM_MAX_BYTES


def limited(application: Any) -> Any:
    """The ASGI application, guarded: 413 before the first byte where the length is told, else when it is too much."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await application(scope, receive, send)
        most = limit_bytes(scope["path"])
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > most:
            return await _refuse(send, most)
        got = 0

        async def counted() -> Any:
            nonlocal got
            message = await receive()
            got += len(message.get("body", b""))
            if got > most:
                raise TooLarge
            return message

        try:
            await application(scope, counted, send)
        except TooLarge:  # only while the body is read: nothing has been answered yet
            await _refuse(send, most)

    return guarded


async def _refuse(send: Any, most: int) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    sentence = f"That is too much at once: at most {most // 2**20} MB may be sent to this address."
    await send({"type": "http.response.body", "body": sentence.encode()})
