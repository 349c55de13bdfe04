"""The database in a backup: SQLite's own copy of its file, or Django's serialization for any other."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission
from django.core import serializers
from django.core.management import call_command
from django.core.serializers.base import DeserializationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import DatabaseError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model

from webapp.accounts.models import User
from webapp.ops.backup.store import BackupError, Manifest


def form() -> str:
    """In which form the rows of this site's database are kept."""
    return "sqlite" if connection.vendor == "sqlite" else "jsonl"


def migrations() -> list[str]:
    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations())


def save(path: Path) -> None:
    """The rows as of one moment."""
    if form() == "sqlite":
        connection.ensure_connection()
        target = sqlite3.connect(path)
        with target:
            connection.connection.backup(target)
        target.close()
        return
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with open(path, "w", encoding="utf-8") as file:
            serializers.serialize("jsonl", _objects(), stream=file, use_natural_foreign_keys=True, cls=ExactEncoder)


class ExactEncoder(DjangoJSONEncoder):
    """Keeps microseconds, which Django's cuts, and with it dumpdata."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if isinstance(o, datetime) else super().default(o)


def _objects() -> Iterator[Model]:
    """All rows, those first that others name."""
    every = [(app, None) for app in apps.get_app_configs() if app.label != "contenttypes"]
    for model in serializers.sort_dependencies(every, allow_cycles=True):
        if model is not Permission and model._meta.managed and not model._meta.proxy:
            yield from model._base_manager.order_by("pk").iterator()


def check_fit(manifest: Manifest) -> None:
    """Raises BackupError if this site's database cannot take the rows."""
    if manifest.form != form():
        kinds = {"sqlite": "SQLite", "jsonl": "a database server"}
        raise BackupError(
            f"The backup was made with {kinds[manifest.form]}, but this site uses {kinds[form()]}; set DATABASE_URL "
            "as it was."
        )
    known = {f"{app}.{name}" for app, name in MigrationLoader(connection).disk_migrations}
    held = set(manifest.migrations)
    if held - known or (manifest.form == "jsonl" and known - held):
        raise BackupError(
            f"The backup of {manifest.made} was made by another version of this program; restore it with that one, "
            "then update."
        )


def has_users() -> bool:
    try:
        with transaction.atomic():
            return User.objects.exists()
    except DatabaseError:  # there are no tables yet
        return False


def load(path: Path) -> None:
    """Replace all rows.

    Raises:
        BackupError: they cannot be read; nothing has changed.
    """
    if form() == "sqlite":
        _load_database(path)
        call_command("migrate", verbosity=0)  # an older version may have made it
        return
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder, "rows.jsonl")  # loaddata reads the form in the name
        shutil.copyfile(path, named)
        try:
            with transaction.atomic():
                call_command("flush", interactive=False, verbosity=0)
                call_command("loaddata", str(named), verbosity=0)
        except (DeserializationError, DatabaseError) as error:
            reason = " ".join(str(error.__cause__ or error).split())
            raise BackupError(f"The database refuses the rows of the backup ({reason}); use another backup.") from None


def _load_database(path: Path) -> None:
    connection.ensure_connection()
    source = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        sound = source.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if sound:
            source.backup(connection.connection)
    except sqlite3.DatabaseError:
        sound = False
    finally:
        source.close()
    if not sound:
        raise BackupError("The database in the backup is damaged; use another backup.")
