"""Many viewers of a run: one look at the database, one page for all who see the same, and a limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs.models import Run
from webapp.runs.pages import live, stream


@pytest.fixture
def run(owner: User, make_dataset: Callable[..., Dataset], make_run: Callable[..., Run]) -> Run:
    return make_run(make_dataset(owner, public=True), state="running", public=True)


def test_viewers_share_looks_and_pages(run: Run, owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    monkeypatch.setattr(live, "SHARE", 1.0)  # each page is made before the next look
    looks, pages = [], []
    look, make = live._versions, live._make

    def counted_look(run_ids: Any) -> Any:
        looks.append(list(run_ids))
        if len(looks) == 2:
            Run.objects.update(event_offset=10_000)
        if len(looks) == 4:
            Run.objects.update(state="finished")
        return look(run_ids)

    def counted_make(run_id: str, viewer: Any, compared: Any) -> Any:
        pages.append(viewer.pk)
        return make(run_id, viewer, compared)

    monkeypatch.setattr(live, "_versions", counted_look)
    monkeypatch.setattr(live, "_make", counted_make)

    async def follow(viewer: Any) -> list[str]:
        return [text.split("\n")[0] async for text in stream.messages(run.pk, viewer) if text.startswith("event: page")]

    async def all_of_them() -> list[list[str]]:
        found = await asyncio.gather(*(follow(AnonymousUser()) for _ in range(5)), follow(owner))
        assert live.hub().viewers == 0
        return found

    assert async_to_sync(all_of_them)() == [["event: page"] * 3] * 6
    assert sorted(map(str, pages)) == sorted(["None", str(owner.pk)] * 3)
    assert looks == [[run.pk]] * len(looks)


def test_pages_of_many_moving_runs_leave_time_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SHARE", 0.1)
    monkeypatch.setattr(live, "_make", lambda run_id, viewer, compared: time.sleep(0.02))

    async def two_runs() -> float:
        hub, begun = live.Hub(), time.monotonic()
        await asyncio.gather(*(live.Watched(run_id, hub).page(AnonymousUser(), ()) for run_id in "ab"))
        return time.monotonic() - begun

    assert 0.2 < async_to_sync(two_runs)() < 1.0


def test_a_page_that_waits_for_its_turn_is_made_once_however_often_the_run_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    monkeypatch.setattr(live, "_make", lambda run_id, viewer, compared: made.append(run_id))

    async def moving() -> None:
        watched = live.Watched("a", live.Hub())
        first = asyncio.ensure_future(watched.page(AnonymousUser(), ()))
        await asyncio.sleep(0)
        for number in range(3):
            watched.take([number])
        await asyncio.gather(first, watched.page(AnonymousUser(), ()))

    async_to_sync(moving)()
    assert made == ["a"]


def test_beyond_the_limit_the_answer_says_when_to_come_back(run: Run, client: Client, settings: Any) -> None:
    settings.VIEWERS_MAX = 0
    response = client.get(f"/runs/{run.pk}/stream")
    assert (response.status_code, response["Retry-After"]) == (503, "30")
    assert "brought up to date every few seconds" in response.content.decode()
