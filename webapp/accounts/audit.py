"""Who did what, for administrators: sign-in, sharing, and what administrators change.

Entries name rows by kind and id, never by their content.  They are read on the admin pages, changed nowhere, and
deleted after a year.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from django.contrib.auth import signals as auth
from django.db.models import Model
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from webapp.accounts.models import AuditEntry, User

KEEP = timedelta(days=365)
SIGNALS: dict[Signal, str] = {
    auth.user_logged_in: "logged in",
    auth.user_logged_out: "logged out",
    account.user_signed_up: "registered",
    account.password_set: "set a password",
    account.password_changed: "changed the password",
    account.password_reset: "reset the password",
    account.email_changed: "changed the e-mail address",
    mfa.authenticator_added: "added a second factor",
    mfa.authenticator_removed: "removed a second factor",
    mfa.authenticator_reset: "renewed the recovery codes",
    mfa.authentication_failed: "gave a wrong second factor",
}


def note(request: HttpRequest | None, action: str, thing: Model | str = "", actor: User | None = None) -> None:
    """Write down what the user of a request did, or ``actor``."""
    if actor is None and request is not None and isinstance(getattr(request, "user", None), User):
        actor = request.user  # type: ignore[assignment]
    address = request.META.get("REMOTE_ADDR") if request else None
    subject = thing if isinstance(thing, str) else f"{thing._meta.verbose_name} {thing.pk}"
    AuditEntry.objects.create(actor=actor, action=action, subject=subject[:200], address=address or None)


def connect() -> None:
    for signal, action in SIGNALS.items():
        signal.connect(_receiver(action), weak=False, dispatch_uid=f"audit: {action}")
    auth.user_login_failed.connect(_log_in_failed, dispatch_uid="audit: failed log-in")
    post_save.connect(_administered, sender="admin.LogEntry", dispatch_uid="audit: administration")
    post_save.connect(_configured, sender="portfolio.RowChange", dispatch_uid="audit: portfolio")


def forget_old() -> None:
    AuditEntry.objects.filter(time__lt=timezone.now() - KEEP).delete()


def _receiver(action: str) -> Callable[..., None]:
    def receive(request: HttpRequest | None = None, user: Any = None, **_: Any) -> None:
        if isinstance(user, User):
            note(request, action, actor=user)

    return receive


def _log_in_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """What was typed is not kept: it may be a password."""
    email = credentials.get("email") or credentials.get("username") or ""
    user = User.objects.filter(email__iexact=str(email)).first()
    note(request, "failed to log in", user or "unknown address")


def _administered(instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    """On Django's admin pages."""
    if created and not raw:
        what = f"{instance.content_type.name} {instance.object_id}: {instance.get_change_message()}"
        note(None, "administered", what, actor=instance.user)


def _configured(instance: Any, created: bool, raw: bool = False, **_: Any) -> None:
    if created and not raw and instance.by:  # else the shipped files
        note(None, "changed a configuration", f"{instance.row.name}: {instance.what}", actor=instance.by)
