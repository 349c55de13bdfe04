"""Live events of a run: what comes again after a lost connection, the end, the heartbeat."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from webapp.accounts.models import User
from webapp.runs import start
from webapp.runs.models import Run, ScorePoint
from webapp.runs.pages import live, page, stream


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


def _messages(run: Run, user: User, last: str = "", most: int = 50) -> list[dict[str, str]]:
    """SSE messages until the end, or the first ``most``."""

    async def collect() -> list[str]:
        found = []
        async for text in stream.messages(run.pk, user, last=last):
            found.append(text)
            if len(found) >= most:
                break
        return found

    texts = async_to_sync(collect)()
    return [dict(line.split(": ", 1) for line in text.strip().split("\n")) for text in texts if "event: " in text]


def test_stream_replays_what_came_after_last_event_id(run: Run, owner: User) -> None:
    fresh = _messages(run, owner)
    assert [message["event"] for message in fresh] == ["point"] * 3 + ["page", "end"]
    assert [message["id"] for message in fresh[:3]] == ["0-0", "0-1", "0-2"]
    again = _messages(run, owner, last="0-1")
    assert [message.get("id") for message in again] == ["0-2", None, None]
    retried = _messages(run, owner, last="7-2")
    assert len(retried) == 5


def test_stream_follows_a_run_to_its_end(owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any) -> None:
    run = make_run(make_dataset(owner), state="running")
    monkeypatch.setattr(live, "POLL_S", 0)
    monkeypatch.setattr(live, "SHARE", 1.0)  # each page is made before the next look
    looks = []
    original = live._versions

    def look(*arguments: Any) -> Any:
        looks.append(1)
        if len(looks) == 3:
            ScorePoint.objects.create(run=run, k=3, t=8, nauc=0.9, alc=0.5, by="toy")
            Run.objects.update(event_offset=10_000)
        if len(looks) == 5:
            Run.objects.update(state="finished")
        return original(*arguments)

    monkeypatch.setattr(live, "_versions", look)
    found = _messages(run, owner)
    assert [message["event"] for message in found] == ["point"] * 3 + ["page", "point", "page", "page", "end"]
    pages = [json.loads(message["data"]) for message in found if message["event"] == "page"]
    assert set(pages[0]["regions"]) == {*page.REGIONS} - {"curve"}
    assert set(pages[1]["regions"]) == {"table"}, "only what has changed"
    shown: dict[str, str] = {}
    for one in pages:
        shown |= one["regions"]
    run.refresh_from_db()
    whole = page.payload(run, owner)["regions"]
    assert {name: shown[name] for name in whole if name not in ("status", "numbers")} == {
        name: html for name, html in whole.items() if name not in ("status", "numbers")
    }


def test_stream_of_a_deleted_run_ends(run: Run, owner: User) -> None:
    run.delete()
    assert json.loads(_messages(Run(id="gone"), owner)[-1]["data"])["state"] == "gone"


def test_stream_response_headers(owner_client: Any, run: Run) -> None:
    response = owner_client.get(f"/runs/{run.pk}/stream")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"


def test_stop_is_shown_by_a_heartbeat_when_nothing_moves(
    owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    run = make_run(make_dataset(owner), state="running")
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0)
    monkeypatch.setattr(live, "POLL_S", 0)

    async def third_quiet() -> str:
        async for text in stream.messages(run.pk, owner):
            if text.startswith(":"):
                return text
            await asyncio.sleep(0)
        return ""

    assert async_to_sync(third_quiet)() == ": still here\n\n"
