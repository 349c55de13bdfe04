"""Telling the owner that a run has ended: by mail, and by a webhook.

A notice is written together with the end of its run and sent by a job.  One that could not be delivered is sent again,
later and later; the reaper does that.  Webhooks are signed as https://www.standardwebhooks.com describes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from webapp import outgoing
from webapp.database import patiently
from webapp.ops import queues
from webapp.runs import queue, words
from webapp.runs.models import Notice, Run

FIRST_S = 60
"""After this time a notice whose job is lost is sent again."""
PAUSES_S = (60, 600, 3600, 6 * 3600, 24 * 3600)
"""Pause after each try; behind the last one the notice has failed."""
KEPT = timedelta(days=7)
SECRET_PREFIX = "whsec_"


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def plan(run_id: str) -> None:
    """Call it in the transaction that ends the run."""
    by_nobody = {"evaluation": None, "entry": None}  # the owner waits for neither
    run = Run.objects.select_related("owner").filter(pk=run_id, **by_nobody).first()
    if run is None:
        return
    owner, due = run.owner, timezone.now() + timedelta(seconds=FIRST_S)
    wanted = {Notice.Kind.MAIL: owner.mail_notices and not owner.guest, Notice.Kind.WEBHOOK: bool(owner.webhook_url)}
    for kind in (kind for kind, is_wanted in wanted.items() if is_wanted):
        queue.enqueue_notice(Notice.objects.create(run=run, kind=kind, due=due))


def deliver(notice_id: str) -> None:
    """The job: one try."""
    waiting = Notice.objects.filter(pk=notice_id, state=Notice.State.WAITING)
    notice = patiently(waiting.select_related("run__dataset", "run__owner").first)
    if notice is None:
        return
    due = timezone.now() + timedelta(seconds=PAUSES_S[min(notice.tries, len(PAUSES_S) - 1)])
    mine = waiting.filter(tries=notice.tries)
    if not patiently(lambda: mine.update(tries=F("tries") + 1, due=due)):
        return  # another worker has it
    fields: dict[str, Any] = {"state": Notice.State.SENT, "error": ""}
    try:
        _send(notice)
    except outgoing.Refused as error:
        fields = {"state": Notice.State.FAILED, "error": str(error)}
    except (outgoing.Failed, OSError) as error:
        is_last = notice.tries + 1 >= len(PAUSES_S)
        fields = {"state": Notice.State.FAILED if is_last else Notice.State.WAITING, "error": str(error)}
    patiently(lambda: waiting.update(**fields))


def resend() -> None:
    """Those that are due, called by the reaper; old ones are forgotten."""
    now = timezone.now()
    Notice.objects.filter(created__lt=now - KEPT).delete()
    for notice in Notice.objects.select_related("run__owner").filter(state=Notice.State.WAITING, due__lt=now):
        if not queues.is_alive(queue.notice_job(notice)):
            queue.enqueue_notice(notice)


def _send(notice: Notice) -> None:
    run = notice.run
    if notice.kind == Notice.Kind.MAIL and run.owner.mail_notices:
        context = {"run": run, "address": _address(run), "account": settings.SITE_URL + reverse("account")}
        send_mail(subject(run), render_to_string("runs/notice.txt", context), None, [run.owner.email])
    elif notice.kind == Notice.Kind.WEBHOOK and run.owner.webhook_url:
        body = json.dumps(_payload(run)).encode()
        outgoing.post(run.owner.webhook_url, body, signed(f"msg_{notice.pk}", body, run.owner.webhook_secret))


def subject(run: Run) -> str:
    """``digits · run 3 is finished: 97 % accuracy``."""
    score = "" if run.nauc is None else f": {words.score({'nauc': run.nauc, 'accuracy': run.accuracy})}"
    verb = "has failed" if run.state == Run.State.FAILED else f"is {run.get_state_display()}"
    return " ".join(f"{run} {verb}{score}".split())


def signed(message_id: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers of a webhook."""
    stamp = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    head = {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}
    return {"Content-Type": "application/json", **head}


def _payload(run: Run) -> dict[str, Any]:
    fields = ("state", "reason", "error", "accuracy", "nauc", "alc", "budget_s")
    told = {name: getattr(run, name) for name in fields}
    data = {"id": run.pk, "number": run.number, "dataset": run.dataset.name, "url": _address(run), **told}
    return {"type": f"run.{run.state}", "timestamp": (run.ended or timezone.now()).isoformat(), "data": data}


def _address(run: Run) -> str:
    return settings.SITE_URL + run.get_absolute_url()
