"""What a start offers to the next one, and what a web process does once it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client, RequestFactory

from webapp.accounts.models import User
from webapp.ops import static_files
from webapp.ops.health.ending import ending
from webapp.ops.management.commands import prepare
from webapp.ops.services import handover, seat, web
from webapp.runs.models import Run
from webapp.runs.pages import live, stream


@pytest.fixture(autouse=True)
def not_ending() -> Iterator[None]:
    yield
    ending.told = ending.closed = False


def test_only_who_says_that_it_is_ready_takes_over(tmp_path: Path) -> None:
    path, listener = handover.address(tmp_path), socket.create_server(("127.0.0.1", 0))
    offer = handover.Offer(path, "", listener)
    assert not offer.is_taken()
    for _ in range(2):  # the first fails
        new = connected(offer, path)
        assert new.listener
        assert new.side == ""
        assert new.listener.getsockname() == listener.getsockname()
        assert not offer.is_taken()
        new._connection.close()
        assert not offer.is_taken()
    new = connected(offer, path)
    new.say_ready()
    assert offer.is_taken()
    later = handover.Offer(path, "-b", None)  # of a worker
    newest = connected(later, path)
    assert (newest.side, newest.listener) == ("-b", None)


def connected(offer: handover.Offer, path: Path) -> handover.Running:
    """Both are in this thread."""
    found: list[handover.Running] = []
    asking = threading.Thread(target=lambda: found.append(handover.Running(path)))
    asking.start()
    while asking.is_alive():
        offer.is_taken()
    return found[0]


def test_without_one_that_runs_it_starts_as_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat.settings, "DATA_DIR", tmp_path)
    monkeypatch.setattr(seat.settings, "REDIS_SOCKET", tmp_path / "redis.sock")
    monkeypatch.setenv("PORT", "0")
    first = seat.Seat("all", replace=True)
    assert first.running is None
    first.write("http://here")
    with pytest.raises(seat.StartError, match=r"already uses the data folder.*http://here"):
        seat.Seat("all", replace=False)
    with pytest.raises(seat.StartError, match="already uses"):
        seat.Seat("all", replace=True)  # it runs, but offers nothing yet
    assert json.loads((tmp_path / "up.lock").read_text())["pid"] == os.getpid()


def test_a_process_that_stops_is_not_ready(client: Client) -> None:
    ending.told = True
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"This process stops.\n")
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("told", [False, True])
def test_its_answers_close_their_connections(told: bool) -> None:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    ending.told = told
    asyncio.run(web.saying_goodbye(app)({}, None, send))
    assert ((b"connection", b"close") in sent[0]["headers"]) == told
    assert (b"a", b"b") in sent[0]["headers"]


def test_live_pages_are_sent_to_the_next_process(
    owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    run: Run = make_run(make_dataset(owner), state="running")
    monkeypatch.setattr(live, "POLL_S", 0.01)

    async def collect() -> list[str]:
        found = []
        async for text in stream.messages(run.pk, owner):
            found.append(text)
            ending.closed = "event: page" in text
        return found

    async def within_seconds() -> list[str]:
        return await asyncio.wait_for(collect(), 5)  # not only with the next sign of life

    *_, before, last = async_to_sync(within_seconds)()
    assert "event: page" in before
    wait = re.fullmatch(r"retry: (\d+)\n\n", last)
    assert wait
    assert stream.RETURN_MS[0] <= int(wait[1]) <= stream.RETURN_MS[1]


def test_files_of_another_version_are_served_as_they_are_here(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "run.js").write_text("new")
    served = static_files.StaticFilesMiddleware(lambda request: pytest.fail("there is no such page"))
    for path in ("/static/js/run.js", "/static/js/run.0123456789ab.js"):
        answer = served(RequestFactory().get(path))
        assert answer.status_code == 200
        assert "immutable" not in answer["Cache-Control"]


def test_static_files_of_earlier_versions_stay_for_a_while(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "staticfiles.json").write_text('{"paths": {"a.js": "a.aaaaaaaaaaaa.js"}}')
    names = ["a.js", "a.aaaaaaaaaaaa.js", "a.bbbbbbbbbbbb.js", "a.bbbbbbbbbbbb.js.gz", "a.cccccccccccc.js"]
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000, 1000))
    os.utime(tmp_path / "a.cccccccccccc.js", (3000, 3000))
    prepare.forget_static(2000)
    left = {path.name for path in tmp_path.iterdir()} - {"staticfiles.json"}
    assert left == {"a.js", "a.aaaaaaaaaaaa.js", "a.cccccccccccc.js"}
