"""Guests: visitors who drop data, or train a first model, before they register.

A guest is a user row without a password, known by the visitor's session alone, and only at the addresses in
``PAGES``; everywhere else the visitor is nobody.  What guests may store is small and few are taken at a time.
Their data is deleted after a day, unless they register or log in: then it is theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from allauth.core import ratelimit
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin
from ninja.utils import check_csrf

from webapp.access import new_id
from webapp.accounts.models import User
from webapp.datasets import jobs
from webapp.datasets.models import Dataset, Upload
from webapp.ops import queues
from webapp.runs.models import Prediction, Run

LIFETIME = timedelta(days=1)
AT_A_TIME = 50
SESSION_KEY = "guest"
ENTRANCES = {"upload", "upload-form"}
PAGES = ENTRANCES | {
    "home",
    "boards",
    "status",
    "upload-part",
    "upload-discard",
    "dataset-list",
    "dataset",
    "dataset-progress",
    "dataset-preview",
    "dataset-sample",
    "dataset-choices",
    "dataset-rename",
    "dataset-more",
    "dataset-fix",
    "dataset-fix-classes",
    "dataset-fix-column",
    "dataset-fix-finding",
    "dataset-undo",
    "dataset-download",
    "dataset-delete",
    "run-start",
    "run",
    "run-state",
    "run-stream",
    "run-stop",
    "run-cancel",
    "run-delete",
    "run-log",
    "run-samples",
    "run-why",
    "run-map",
    "run-predictions",
    "run-scores",
    "run-challenge-result",
    "model",
    "model-export",
    "model-download",
    "model-predict",
    "prediction",
    "prediction-csv",
    "prediction-why",
}


class GuestMiddleware(MiddlewareMixin):
    """Makes a visitor the guest of their session; the first upload begins one."""

    def process_view(self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> None:
        match = request.resolver_match
        if match is None or match.url_name not in PAGES or request.user.is_authenticated:
            return
        guest = of_session(request)
        if guest is None and match.url_name in ENTRANCES and request.method == "POST":
            guest = begin(request)
        if guest:
            let_in(request, guest)


def let_in(request: HttpRequest, guest: User) -> None:
    async def auser() -> User:
        return guest

    request.user, request.auser = guest, auser


def are_welcome() -> bool:
    """Whether one more guest is taken."""
    return settings.GUEST_MAX_BYTES > 0 and User.objects.filter(guest=True).count() < AT_A_TIME


def of_session(request: HttpRequest) -> User | None:
    key = request.session.get(SESSION_KEY)
    return User.objects.filter(pk=key, guest=True).first() if key else None


def begin(request: HttpRequest) -> User | None:
    """A new guest for this session; None for scripts and other sites, and when there are enough."""
    if "Authorization" in request.headers or _is_sent_by_another_site(request) or not are_welcome():
        return None
    if not ratelimit.consume(request, action="guest"):
        return None
    guest = User.objects.create_user(
        f"{new_id()}@guest.invalid",
        guest=True,
        is_active=False,  # no way to log in as a guest
        runs_per_day=0,
        runs_total=0,
        storage_max_bytes=settings.GUEST_MAX_BYTES,
    )
    request.session[SESSION_KEY] = guest.pk
    return guest


def _is_sent_by_another_site(request: HttpRequest) -> bool:
    """A browser says where a request comes from; besides, our own pages send the CSRF token."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    is_ours = origin in (None, *settings.CSRF_TRUSTED_ORIGINS) or urlsplit(origin).netloc == request.get_host()
    return not is_ours or check_csrf(request) is not None


def adopt(request: HttpRequest | None, user: User, **_: Any) -> None:
    """On log-in (also right after registering): what the guest of this session had is the user's."""
    guest = of_session(request) if request else None
    if request is None or guest is None:
        return
    with transaction.atomic():
        Dataset.objects.filter(owner=guest).update(owner=user)
        Upload.objects.filter(owner=guest).update(owner=user)
        Run.objects.filter(owner=guest).update(owner=user)
        Prediction.objects.filter(owner=guest).update(owner=user)
        guest.delete()
    for dataset in Dataset.objects.filter(owner=user, state=Dataset.State.QUEUED).select_related("owner"):
        jobs.hand_over(dataset)
    for run in Run.objects.filter(owner=user, state=Run.State.QUEUED):
        queues.hand_over("train", run.job_id, user)
    del request.session[SESSION_KEY]


def reap() -> None:
    """Guests who did not come back within a day, with their files."""
    for guest in User.objects.filter(guest=True, date_joined__lt=timezone.now() - LIFETIME):
        guest.delete()
