"""One mail to a person with whom something is shared.

Its job is sent for every address, and the worker looks whether an account has it: so nothing tells the owner.  Who
cannot see the thing when the mail would go out, or wants no mails, gets none.  A mail that cannot be delivered is tried
again, later and later; the reaper does that.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import F
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from webapp.access import visible
from webapp.accounts.models import Grant, User
from webapp.database import patiently
from webapp.ops import queues

FIRST_S = 60
"""After this time a mail whose job is lost is sent again."""
PAUSES_S = (60, 600, 3600, 6 * 3600, 24 * 3600)
"""Pause after each try; behind the last one nobody is told."""
LIMIT_S = 60


def plan(grant: Grant, sender: User) -> None:
    """Call it in the transaction that gives the access."""
    Grant.objects.filter(pk=grant.pk).update(mail_due=timezone.now() + timedelta(seconds=FIRST_S))
    _enqueue(grant, sender)


def deliver(grant_id: str) -> None:
    """The job: one try."""
    due = Grant.objects.filter(pk=grant_id, mail_due__isnull=False)
    grant = patiently(due.select_related("user", "dataset__owner", "run__owner", "run__dataset").first)
    if grant is None:
        return  # told, or taken back
    is_last = grant.mail_tries + 1 >= len(PAUSES_S)
    again = None if is_last else timezone.now() + timedelta(seconds=PAUSES_S[grant.mail_tries])
    mine = due.filter(mail_tries=grant.mail_tries)
    if not patiently(lambda: mine.update(mail_tries=F("mail_tries") + 1, mail_due=again)):
        return  # another worker has it
    if grant.user and _may_be_told(grant, grant.user):
        _send(grant)  # if it fails, so does the job
    patiently(lambda: due.update(mail_due=None))


def resend() -> None:
    """Those that are due, called by the reaper."""
    for grant in Grant.objects.filter(mail_due__lt=timezone.now()).select_related("dataset__owner", "run__owner"):
        if not queues.is_alive(_job(grant)):
            _enqueue(grant, grant.thing.owner)


def _may_be_told(grant: Grant, user: User) -> bool:
    things = type(grant.thing).objects.filter(pk=grant.thing.pk)
    return user.is_active and not user.guest and user.mail_notices and visible(things, user).exists()


def _send(grant: Grant) -> None:
    thing = grant.thing
    kind = "the data set" if grant.dataset_id else "the run"
    context = {
        "grant": grant,
        "thing": thing,
        "kind": kind,
        "address": settings.SITE_URL + thing.get_absolute_url(),
        "account": settings.SITE_URL + reverse("account"),
    }
    subject = " ".join(f"{thing.owner.email} shares {kind} “{thing}” with you".split())
    send_mail(subject, render_to_string("account/shared.txt", context), None, [grant.email])


def _enqueue(grant: Grant, sender: User) -> None:
    function = "webapp.accounts.share_mail.deliver"
    queues.send("pack", sender, function, str(grant.pk), job_id=_job(grant), limit_s=LIMIT_S)


def _job(grant: Grant) -> str:
    return f"share-{grant.pk}-{grant.mail_tries}"
