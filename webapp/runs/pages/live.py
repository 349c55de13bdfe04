"""Looks at all watched runs together, and makes a page once for all who see the same.

A viewer costs a connection; a watched run costs a row of one query; a run that has moved costs one page for each user
who looks, and one for all visitors without an account.  Of the page each viewer gets the regions that changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.db import close_old_connections
from django.db.models import OuterRef, Q, QuerySet

from webapp.access import visible
from webapp.accounts.models import Grant, User
from webapp.database import UNAVAILABLE, total
from webapp.ops.health.ending import ending
from webapp.runs.models import Run
from webapp.runs.pages import page

POLL_S = 0.4
SHARE = 0.2
"""Of the time, what goes into making live pages: with many moving runs they come later, and other pages stay fast."""
log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """A page at one moment, as some viewers see it."""

    version: list[Any]
    tries: int
    page: dict[str, Any]
    _texts: dict[tuple[str, ...], str] = field(default_factory=dict)

    def text(self, seen: Mapping[str, str]) -> str:
        """In JSON, with the regions that are not as ``seen``; made once for all viewers who need the same."""
        news = {name: html for name, html in self.page["regions"].items() if seen.get(name) != html}
        if tuple(news) not in self._texts:
            self._texts[tuple(news)] = json.dumps(self.page | {"regions": news})
        return self._texts[tuple(news)]


class Watched:
    """A run that somebody looks at."""

    def __init__(self, run_id: str, hub: Hub) -> None:
        self.viewers = 0
        self.moved = asyncio.Event()
        """Set once the pages made so far are old; then another event takes its place."""
        self._run_id, self._hub = run_id, hub
        self._version: list[Any] | None = None
        self._pages: dict[tuple[Any, ...], asyncio.Task[Shown | None]] = {}
        self._waiting: set[tuple[Any, ...]] = set()
        """Of the pages, those that nobody has begun to make: they will be new whenever they are made."""

    async def page(self, viewer: Any, compared: Sequence[str]) -> Shown | None:
        """As this viewer sees it; None if the run is gone or not theirs to see."""
        key = (viewer.pk, *compared)
        if key not in self._pages:
            self._waiting.add(key)
            self._pages[key] = self._hub.task(self._made(key, viewer, compared))
        shown = await asyncio.shield(self._pages[key])
        if self._version is None and shown:
            self._version = shown.version
        return shown

    async def _made(self, key: tuple[Any, ...], viewer: Any, compared: Sequence[str]) -> Shown | None:
        async with self._hub.turn():
            self._waiting.discard(key)
            return await sync_to_async(_asked)(lambda: _make(self._run_id, viewer, compared))

    def take(self, version: list[Any] | None) -> None:
        if version != self._version:
            self._version = version
            self._pages = {key: self._pages[key] for key in self._waiting}
            self.moved.set()
            self.moved = asyncio.Event()


class Hub:
    """The watched runs of this event loop, and the one thread that asks the database about them."""

    def __init__(self) -> None:
        self._watched: dict[str, Watched] = {}
        self._look: asyncio.Task[None] | None = None
        self._context = own_context()
        self._turn, self._next_turn_s = asyncio.Lock(), 0.0

    @property
    def viewers(self) -> int:
        return sum(watched.viewers for watched in self._watched.values())

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return asyncio.get_running_loop().create_task(work, context=self._context)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One page at a time, and then a pause in proportion to what it took."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(self._next_turn_s - loop.time())
            begun_s = loop.time()
            try:
                yield
            finally:
                self._next_turn_s = loop.time() + (loop.time() - begun_s) * (1 / SHARE - 1)

    @asynccontextmanager
    async def watching(self, run_id: str) -> AsyncIterator[Watched]:
        watched = self._watched.setdefault(run_id, Watched(run_id, self))
        watched.viewers += 1
        if self._look is None:
            self._look = self.task(self._look_again())
        try:
            yield watched
        finally:
            watched.viewers -= 1
            if not watched.viewers:
                del self._watched[run_id]
            if not self._watched:
                self._look.cancel()
                self._look = None

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            watched = dict(self._watched)
            if ending.closed:
                for one in watched.values():
                    one.moved.set()
                continue
            try:
                versions = await sync_to_async(_asked)(lambda: _versions(watched))  # noqa: B023  awaited here
            except UNAVAILABLE as error:
                log.warning("the database does not answer (%s); live pages wait", error)
                continue
            for run_id, one in watched.items():
                one.take(versions.get(run_id))


def own_context() -> Context:
    """In which all questions to the database go to one thread; that of the first request would end with it."""
    context = Context()
    context.run(SyncToAsync.thread_sensitive_context.set, ThreadSensitiveContext())
    return context


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


def _asked(question: Callable[[], T]) -> T:
    """The answer; the connection of this thread stays open, unless it failed."""
    try:
        return question()
    except UNAVAILABLE:
        close_old_connections()
        raise


def _versions(run_ids: Collection[str]) -> dict[str, list[Any]]:
    needed = ("state", "export_state", "event_offset", "tries", "public", "dataset__public")
    return {run.pk: _version(run) for run in _runs().filter(pk__in=run_ids).only(*needed)}


def _runs() -> QuerySet[Run]:
    """With a number that changes when somebody gets or loses access to the run or its data."""
    grants = Grant.objects.filter(Q(run=OuterRef("pk")) | Q(dataset=OuterRef("dataset")))
    return Run.objects.select_related("dataset").annotate(grants_sum=total(grants, "pk"))


def _version(run: Run) -> list[Any]:
    return [*page.version(run), run.grants_sum]  # type: ignore[attr-defined]


def _make(run_id: str, viewer: Any, compared: Sequence[str]) -> Shown | None:
    if viewer.is_authenticated:  # for a live page for long: what this user may see can have changed
        viewer = User.objects.filter(pk=viewer.pk).first() or AnonymousUser()
    run = visible(_runs(), viewer).filter(pk=run_id).first()
    if run is None:
        return None
    return Shown(_version(run), run.tries, page.payload(run, viewer, compared))
