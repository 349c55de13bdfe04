"""Private data sets that nobody has used for long: their owner gets a mail, and two weeks later they are deleted.

Off unless KEEP_DAYS is set; without mail nothing is deleted.  To use one is to train on it or to predict with a model
of it; to press "Keep" counts, too.  Public data, and data whose models are shared by a link, stay.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import groupby

from django.conf import settings
from django.core.mail import send_mail
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from webapp.access import get_owned
from webapp.accounts import audit
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.models import Unused
from webapp.runs.models import Run

log = logging.getLogger(__name__)
NOTICE = timedelta(days=14)


def advance() -> None:
    """Forget warnings of what was used since, delete what was warned of long enough ago, warn of the rest."""
    if not settings.KEEP_DAYS or not settings.SENDS_MAIL:
        return
    now = timezone.now()
    found = unused(now - timedelta(days=settings.KEEP_DAYS))
    Unused.objects.exclude(dataset__in=found.values("pk")).update(warned=None)
    for dataset in found.filter(unused__warned__lt=now - NOTICE):
        audit.note(None, "deleted what nobody had used", dataset)
        dataset.delete()
    waiting = found.filter(Q(unused=None) | Q(unused__warned=None)).order_by("owner", "name")
    for owner, datasets in groupby(waiting.select_related("owner"), key=lambda dataset: dataset.owner):
        _warn(owner, list(datasets), now)


def unused(since: datetime) -> QuerySet[Dataset]:
    """Private data sets of registered users that nobody has used since then."""
    recent = Q(created__gte=since) | Q(state__in=Run.OPEN) | Q(predictions__created__gte=since)
    needed = Run.objects.filter(recent | Q(public=True) | ~Q(link=""))
    found = Dataset.objects.filter(public=False, starter=False, owner__guest=False, state_since__lt=since)
    kept = Unused.objects.filter(kept__gte=since)
    return found.exclude(pk__in=needed.values("dataset")).exclude(pk__in=kept.values("dataset"))


def _warn(owner: User, datasets: list[Dataset], now: datetime) -> None:
    """One mail; what could not be sent is sent another day, and nothing is deleted before."""
    context = {
        "datasets": datasets,
        "days": settings.KEEP_DAYS,
        "day": now + NOTICE,
        "address": settings.SITE_URL + reverse("storage"),
    }
    subject = "Data that you have not used for long will be deleted"
    try:
        send_mail(subject, render_to_string("account/unused.txt", context), None, [owner.email])
    except OSError as error:
        log.error("no mail to user %s (%s); tried again tomorrow", owner.pk, error)
        return
    for dataset in datasets:
        Unused.objects.update_or_create(dataset=dataset, defaults={"warned": now})


@require_POST
def keep(request: HttpRequest, id: str) -> HttpResponse:
    """Its owner wants it for as long again."""
    dataset = get_owned(Dataset.objects.all(), request.user, id=id)
    Unused.objects.filter(dataset=dataset).update(warned=None, kept=timezone.now())
    return redirect("storage")
