"""Server-sent events of a run: each scored prediction once, by number, and the page whenever it has moved.

``Last-Event-ID`` is ``TRY-K`` of the last prediction that the browser has; what came after it is replayed from the
database.  A comment every ``HEARTBEAT_S`` keeps proxies from closing the line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from webapp.access import get_visible, visible
from webapp.runs.models import Run
from webapp.runs.pages import page

POLL_S = 0.4
HEARTBEAT_S = 15


@require_GET
async def stream(request: HttpRequest, run_id: str) -> StreamingHttpResponse:
    viewer = await request.auser()
    await sync_to_async(get_visible)(Run.objects.all(), viewer, id=run_id)
    last = request.headers.get("Last-Event-ID", "")
    response = StreamingHttpResponse(
        messages(run_id, viewer, request.GET.getlist("with"), last), content_type="text/event-stream"
    )
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def messages(run_id: str, viewer: Any, compared: Sequence[str] = (), last: str = "") -> AsyncIterator[str]:
    """SSE messages ``point``, ``page`` and at last ``end``."""
    seen_version: list[Any] | None = None
    silent_s = 0.0
    yield "retry: 3000\n\n"
    while True:
        run, points, shown = await sync_to_async(_look)(run_id, viewer, compared, last, seen_version)
        if run is None:
            break  # deleted, or not public any more
        for point in points:
            last = f"{run.tries}-{point['k']}"
            yield _message("point", point, last)
        if shown:
            seen_version = shown["version"]
            yield _message("page", shown)
        if page.is_final(run):
            break
        silent_s = 0.0 if shown else silent_s + POLL_S
        if silent_s >= HEARTBEAT_S:
            silent_s = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(POLL_S)
    yield _message("end", {"state": run.state if run else "gone"})


def _look(
    run_id: str, viewer: Any, compared: Sequence[str], last: str, seen_version: list[Any] | None
) -> tuple[Run | None, list[dict[str, Any]], dict[str, Any] | None]:
    """The run as it is now, its points behind ``last``, and the page if its version is new."""
    run = visible(Run.objects.select_related("dataset"), viewer).filter(pk=run_id).first()
    if run is None or page.version(run) == seen_version:
        return run, [], None
    return run, page.points_of(run, _after(last, run.tries)), page.payload(run, viewer, compared)


def _after(last: str, tries: int) -> int:
    """k of ``TRY-K`` if it speaks of the present try, else -1, so that all points are sent."""
    try_, _, k = last.partition("-")
    return int(k) if try_ == str(tries) and k.isdecimal() and len(k) < 10 else -1


def _message(event: str, data: dict[str, Any], id: str = "") -> str:
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n"
