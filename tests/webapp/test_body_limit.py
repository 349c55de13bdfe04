"""The guard against requests that would fill the disk."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from webapp import body_limit
from webapp.accounts.models import User
from webapp.api.models import ApiToken

MIB = 2**20
STALLED = b"stalled"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The sender is known, except where a test asks who it is."""
    if "nobody" not in request.node.name and "known_at" not in request.node.name:
        monkeypatch.setattr(body_limit, "sender_is_known", lambda scope: True)


def answer(path: str, parts: list[bytes], headers: list[tuple[bytes, bytes]] | None = None) -> tuple[int, int]:
    """(status, bytes that the application got) of a request whose body comes in parts."""
    waiting, sent, got = list(parts), [], 0

    async def receive() -> dict[str, Any]:
        part = waiting.pop(0)
        if part == STALLED:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal got
        more = True
        while more:
            message = await receive()
            got, more = got + len(message["body"]), message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers or []}
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


def test_nobody_sends_more_than_a_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "sender_is_known", lambda scope: False)
    assert answer("/uploads/abc", [b"x"], [(b"content-length", b"2000000")]) == (401, 0)
    status, got = answer("/data/upload", [b"x" * MIB, b"y"])
    assert (status, got) == (401, MIB)
    assert answer("/accounts/login/", [b"x" * MIB]) == (200, MIB)


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["owner_client", "guest_client"])
def test_a_session_tells_who_sends_and_nobody_has_none(who: str, request: pytest.FixtureRequest) -> None:
    cookie = request.getfixturevalue(who).cookies["sessionid"].value
    assert body_limit.sender_is_known(_scope("cookie", f"sessionid={cookie}"))
    assert not body_limit.sender_is_known(_scope("cookie", "sessionid=made-up"))
    assert not body_limit.sender_is_known(_scope("accept", "*/*"))


def test_a_token_tells_who_sends_and_nobody_has_none(owner: User) -> None:
    secret = ApiToken.make(owner, "test")[1]
    assert body_limit.sender_is_known(_scope("authorization", f"Bearer {secret}"))
    assert not body_limit.sender_is_known(_scope("authorization", "Bearer adl_wrong"))


def test_a_shared_link_is_known_at_its_own_address(owner: User, make_dataset: Any, make_run: Any) -> None:
    make_run(make_dataset(owner), link="open")
    assert body_limit.sender_is_known(_scope("accept", "*/*", "/try/open/predict"))
    assert body_limit.limit_bytes("/try/open/predict") < body_limit.TRY_MAX_BYTES
    for other in ("/try/revoked/predict", "/try//predict", "/uploads/open"):
        assert not body_limit.sender_is_known(_scope("accept", "*/*", other))


def _scope(header: str, value: str, path: str = "/uploads/") -> dict[str, Any]:
    headers = [(header.encode(), value.encode())]
    return {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}


def test_all_bodies_in_progress_have_a_limit(settings: Any) -> None:
    settings.BODIES_MAX_BYTES = 3 * MIB
    assert answer("/data/upload", [b"x" * MIB] * 4)[0] == 503
    assert answer("/data/upload", [b"x" * MIB] * 3)[0] == 200  # what was refused holds nothing any more
    assert body_limit.Body.in_progress_bytes == 0


@pytest.mark.parametrize("drops", [[], [b"x"] * 20])
def test_a_body_that_stalls_is_ended(drops: list[bytes], settings: Any) -> None:
    settings.BODY_STALL_S = 0.1
    assert answer("/data/upload", [b"x" * MIB, *drops, STALLED])[0] == 408


def test_a_page_that_stays_open_is_not_ended(settings: Any) -> None:
    settings.BODY_STALL_S = 0.05
    waited = []

    async def receive() -> dict[str, Any]:
        if waited:
            await asyncio.sleep(0.2)
        waited.append(1)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def listen() -> None:
        body = body_limit.Body(_scope("accept", "*/*"), receive)
        await body.receive()
        await body.receive()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, listen()).result()
