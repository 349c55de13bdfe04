"""No request may send more than its address and its sender can use.

Django spools a body to disk before it looks at who sent it; without these limits anybody could fill the disk.
"""

from __future__ import annotations

import asyncio
import re
import sys
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import auth
from django.contrib.sessions.backends.db import SessionStore
from django.core.handlers.asgi import ASGIRequest
from django.db import close_old_connections

from webapp.accounts import guests
from webapp.api.models import ApiToken
from webapp.challenges.predictions import MOST_BYTES as ENTRY_MAX_BYTES
from webapp.portfolio.imports import MAX_BYTES as IMPORT_MAX_BYTES
from webapp.runs.models import Run
from webapp.runs.tryout import MAX_BYTES as TRY_MAX_BYTES
from webapp.runs.tryout import VISITOR_MAX_BYTES

MARGIN_BYTES = 2**20  # the other fields of a form, and the lines between them
FORM_MAX_BYTES = 4 * 2**20  # a pasted text
SHARED = re.compile("/try/([^/]+)/predict")
CHALLENGE = re.compile("(/api)?/challenges/[^/]+/entries")
STEP_BYTES = 2**16  # at least so much must come within BODY_STALL_S: a slow line may take long, a silent one may not


class Refused(Exception):
    """A body is not taken: HTTP status and one sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def limit_bytes(path: str) -> int:
    """The most that a request to ``path`` may send."""
    if path.startswith(("/uploads/", "/data/upload", "/api/datasets")):
        return settings.UPLOAD_MAX_BYTES + MARGIN_BYTES
    if path == "/portfolio/import":
        return IMPORT_MAX_BYTES + MARGIN_BYTES
    if SHARED.fullmatch(path):
        return VISITOR_MAX_BYTES + MARGIN_BYTES
    if CHALLENGE.fullmatch(path):
        return ENTRY_MAX_BYTES + MARGIN_BYTES
    if path.endswith("/predict"):
        return TRY_MAX_BYTES + MARGIN_BYTES
    return FORM_MAX_BYTES


def sender_is_known(scope: Any) -> bool:
    """Whether a token, a user's session, a guest's session or a shared link stands behind the request."""
    close_old_connections()  # no request of Django's has begun that would do it
    try:
        request = ASGIRequest(scope, BytesIO())
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return ApiToken.find(secret.strip()) is not None
        request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        is_somebody = auth.get_user(request).is_authenticated or guests.of_session(request) is not None
        return is_somebody or _is_shared(request.path)
    finally:
        close_old_connections()


def _is_shared(path: str) -> bool:
    """Whether it is the address of a model that anybody may try."""
    found = SHARED.fullmatch(path)
    return found is not None and Run.objects.filter(link=found[1]).exists()


class Body:
    """One request's body while it comes."""

    in_progress_bytes = 0  # of all requests: what they hold on disk until they are answered

    def __init__(self, scope: Any, receive: Any) -> None:
        self._scope, self._receive = scope, receive
        self._most = limit_bytes(scope["path"])
        self._known = self._whole = False
        self._got = 0
        self._deadline_s = asyncio.get_running_loop().time() + settings.BODY_STALL_S

    async def check(self, size_bytes: int) -> None:
        """Raise Refused if this sender may not send so much to this address."""
        if size_bytes > self._most:
            most = self._most // 2**20
            raise Refused(413, f"That is too much at once: at most {most} MB may be sent to this address.")
        if size_bytes > settings.ANONYMOUS_BODY_MAX_BYTES and not self._known:
            self._known = await sync_to_async(sender_is_known)(self._scope)
            if not self._known:
                most = settings.ANONYMOUS_BODY_MAX_BYTES // 2**10
                raise Refused(401, f"Log in first, or send a valid token: without, at most {most} kB may be sent.")

    async def receive(self) -> Any:
        """The next message, checked."""
        if self._whole:
            return await self._receive()  # the visitor leaves, maybe in an hour
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            raise Refused(408, "The rest of the request did not come: send it again.") from None
        size_bytes = len(message.get("body", b""))
        if (self._got + size_bytes) // STEP_BYTES > self._got // STEP_BYTES:
            self._deadline_s = asyncio.get_running_loop().time() + settings.BODY_STALL_S
        self._got += size_bytes
        Body.in_progress_bytes += size_bytes
        self._whole = not message.get("more_body", False)
        await self.check(self._got)
        if Body.in_progress_bytes > settings.BODIES_MAX_BYTES:
            raise Refused(503, "Too much is being sent to this server just now: try again in a minute.")
        return message

    def close(self) -> None:
        """Its request is answered: what it held on disk is gone."""
        Body.in_progress_bytes -= self._got
        self._got = 0


def limited(application: Any) -> Any:
    """The ASGI application, guarded: a refusal comes before the first byte where the length is told."""

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await application(scope, receive, send)
        body = Body(scope, receive)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            await body.check(int(announced) if announced.isdigit() else sys.maxsize)
            await application(scope, body.receive, send)
        except Refused as refused:  # only while the body is read: nothing has been answered yet
            await _answer(send, refused)
        finally:
            body.close()

    return guarded


async def _answer(send: Any, refused: Refused) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": refused.sentence.encode()})
