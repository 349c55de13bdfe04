"""Server-sent events of a run: each scored prediction once, by number, and whenever the run has moved its page with
the regions that have changed.

``Last-Event-ID`` is ``TRY-K`` of the last prediction that the browser has; what came after it is sent again.
A comment every ``HEARTBEAT_S`` keeps proxies from closing the line.  Beyond ``VIEWERS_MAX`` streams the answer is 503,
and the page asks for its state every few seconds instead.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.http import require_GET

from webapp.access import get_visible
from webapp.ops.health.ending import ending
from webapp.runs.models import Run
from webapp.runs.pages.live import hub
from webapp.streaming import release_thread

HEARTBEAT_S = 15
RETRY_AFTER_S = 30
RETURN_MS = (100, 1000)
"""When browsers come back that this process, which ends, sends to the next: not all at once."""


@require_GET
async def stream(request: HttpRequest, run_id: str) -> HttpResponseBase:
    viewer = await request.auser()
    await sync_to_async(get_visible)(Run.objects.all(), viewer, id=run_id)
    await release_thread()
    if hub().viewers >= settings.VIEWERS_MAX:
        full = "Too many people follow runs live just now: this page is brought up to date every few seconds instead.\n"
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return HttpResponse(full, status=503, content_type="text/plain; charset=utf-8", headers=headers)
    last = request.headers.get("Last-Event-ID", "")
    response = StreamingHttpResponse(
        messages(run_id, viewer, request.GET.getlist("with"), last), content_type="text/event-stream"
    )
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def messages(run_id: str, viewer: Any, compared: Sequence[str] = (), last: str = "") -> AsyncIterator[str]:
    """SSE messages ``point``, ``page`` and at last ``end``."""
    version: list[Any] | None = None
    seen: dict[str, str] = {}
    yield "retry: 3000\n\n"
    async with hub().watching(run_id) as watched:
        while True:
            if ending.closed:
                yield f"retry: {random.randint(*RETURN_MS)}\n\n"
                return
            moved = watched.moved
            shown = await watched.page(viewer, compared)
            if shown is None:
                break  # deleted, or not public any more
            if shown.version != version:
                version = shown.version
                after = _after(last, shown.tries)
                for point in (point for point in shown.page["points"] if point["k"] > after):
                    last = f"{shown.tries}-{point['k']}"
                    yield _message("point", json.dumps(point), last)
                yield _message("page", shown.text(seen))
                seen = shown.page["regions"]
            if shown.page["final"]:
                break
            try:
                await asyncio.wait_for(moved.wait(), HEARTBEAT_S)
            except TimeoutError:
                yield ": still here\n\n"
    yield _message("end", json.dumps({"state": shown.page["state"] if shown else "gone"}))


def _after(last: str, tries: int) -> int:
    """k of ``TRY-K`` if it speaks of the present try, else -1, so that all points are sent."""
    try_, _, k = last.partition("-")
    return int(k) if try_ == str(tries) and k.isdecimal() and len(k) < 10 else -1


def _message(event: str, data: str, id: str = "") -> str:
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: {data}\n\n"
