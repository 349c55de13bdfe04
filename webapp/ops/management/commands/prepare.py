"""``manage.py prepare``: everything that the server needs; does nothing that is already done."""

from __future__ import annotations

import os
import secrets
import shutil
from hashlib import sha256
from typing import Any

import django
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from webapp import store
from webapp.accounts.models import User
from webapp.store import remote


class Command(BaseCommand):
    help = "Migrate the database, load the portfolio, collect static files, make the first administrator."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        if store.is_remote():
            remote.prepare()
        call_command("sync_portfolio", verbosity=0)
        collect_static()
        shutil.rmtree(settings.DATA_DIR / "knowledge", ignore_errors=True)  # earlier versions shared statistics there
        if not User.objects.filter(is_superuser=True).exists():
            email, password = make_administrator(os.environ.get("ADMIN_EMAIL") or "admin@localhost")
            self.stdout.write(f"First administrator: {email}   password: {password}   (shown only this once)")


def make_administrator(email: str) -> tuple[str, str]:
    """The first administrator and a random password; an existing account of that name is raised to it."""
    password = secrets.token_urlsafe(12)
    user, _ = User.objects.get_or_create(email=User.objects.normalize_email(email))
    user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})
    return user.email, password


def collect_static() -> None:
    """Collect and compress the static files, unless none has changed since the last time."""
    stamp = settings.STATIC_ROOT / ".stamp"
    files = sorted(path for path in (settings.BASE_DIR / "static").rglob("*") if path.is_file())
    state = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    digest = sha256(repr((django.VERSION, state)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    stamp.write_text(digest)
