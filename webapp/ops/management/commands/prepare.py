"""``manage.py prepare``: everything that the server needs; does nothing that is already done."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import django
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from webapp import store
from webapp.accounts.models import User
from webapp.ops import additive, static_files
from webapp.store import remote

PREPARING, LOADING = 0x6175746F646C, 0x6175746F646D  # any numbers that are always the same
KEPT_S = 30 * 24 * 3600
"""Static files of earlier versions stay for so long: pages that were loaded before ask for them."""


class Command(BaseCommand):
    help = "Migrate the database, load the portfolio, collect static files, make the first administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--beside", action="store_true", help="an earlier version runs: refuse what it can't bear")

    def handle(self, *args: Any, **options: Any) -> None:
        with one_at_a_time(PREPARING):
            self.prepare(**options)
        collect_static()
        (settings.MEDIA_ROOT / "uploads").mkdir(parents=True, exist_ok=True)  # where a volume may be put
        shutil.rmtree(settings.DATA_DIR / "knowledge", ignore_errors=True)  # earlier versions shared statistics there

    def prepare(self, beside: bool, **_: Any) -> None:
        if beside and (found := additive.obstacles()):
            raise CommandError(f"Stop the site first, since its tables change under it: {' '.join(found)}")
        call_command("migrate", verbosity=0)
        if store.is_remote():
            remote.prepare()
        call_command("sync_portfolio", verbosity=0)
        if not User.objects.filter(is_superuser=True).exists():
            email, password = make_administrator(os.environ.get("ADMIN_EMAIL") or "admin@localhost")
            self.stdout.write(f"First administrator: {email}   password: {password}   (shown only this once)")


@contextmanager
def one_at_a_time(lock: int) -> Iterator[None]:
    """Several machines that start together take turns; SQLite serves one machine, where the data folder is locked."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [lock])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])


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
    """Collect and compress the static files, unless none has changed since the last time.

    A web server that is being replaced goes on with those it has.
    """
    stamp = settings.STATIC_ROOT / ".stamp"
    files = sorted(path for path in (settings.BASE_DIR / "static").rglob("*") if path.is_file())
    state = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files]
    digest = sha256(repr((django.VERSION, state)).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    for path in hashed():
        os.utime(path)  # it has been in use until now
    call_command("collectstatic", interactive=False, verbosity=0)
    forget_static(time.time() - KEPT_S)
    stamp.write_text(digest)


def hashed() -> set[Path]:
    """The files that pages of the version name which was collected last."""
    manifest = settings.STATIC_ROOT / "staticfiles.json"
    if not manifest.exists():  # at first, and with DEBUG
        return set()
    return {settings.STATIC_ROOT / name for name in json.loads(manifest.read_text())["paths"].values()}


def forget_static(before: float) -> None:
    """Delete what only pages of earlier versions name, if they were in use before this."""
    ours = hashed()
    for path in sorted(settings.STATIC_ROOT.rglob("*")):
        plain = path.with_suffix("") if path.suffix == ".gz" else path
        is_earlier = static_files.HASH.search(plain.name) and plain not in ours
        if is_earlier and (not plain.exists() or plain.stat().st_mtime < before):
            path.unlink()
