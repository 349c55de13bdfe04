"""The guard against requests that would fill the disk."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from webapp import body_limit

MIB = 2**20


def answer(path: str, parts: list[bytes], headers: list[tuple[bytes, bytes]] | None = None) -> tuple[int, int]:
    """(status, bytes that the application got) of a request whose body comes in parts."""
    waiting, sent, got = list(parts), [], 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        more = True
        while more:
            message = await receive()
            got, more = got + len(message["body"]), message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "path": path, "headers": headers or []}
    with ThreadPoolExecutor(1) as pool:  # a browser of other tests may have a loop running in this thread
        pool.submit(asyncio.run, body_limit.limited(application)(scope, receive, send)).result()
    return sent[0]["status"], got


def test_what_fits_passes() -> None:
    assert answer("/accounts/login/", [b"x" * MIB, b"y"]) == (200, MIB + 1)


def test_an_announced_length_is_refused_before_the_first_byte() -> None:
    assert answer("/", [b"x"], [(b"content-length", b"999999999")]) == (413, 0)
    assert answer("/", [b"x"], [(b"content-length", b"-1")]) == (413, 0)


def test_a_body_of_unknown_length_is_cut() -> None:
    status, got = answer("/accounts/login/", [b"x" * MIB] * 6)
    assert status == 413
    assert got <= body_limit.FORM_MAX_BYTES


@pytest.mark.parametrize("path", ["/uploads/", "/uploads/abc", "/data/upload", "/api/datasets"])
def test_uploads_may_be_as_large_as_the_settings_say(path: str, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 10 * MIB
    assert answer(path, [b"x" * MIB] * 10)[0] == 200
    assert answer(path, [b"x" * MIB] * 12)[0] == 413


@pytest.mark.parametrize("path", ["/models/abc/predict", "/api/models/abc/predict"])
def test_try_it_has_a_limit_of_its_own(path: str) -> None:
    assert body_limit.limit_bytes(path) == body_limit.TRY_MAX_BYTES + body_limit.MARGIN_BYTES
