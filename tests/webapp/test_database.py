"""A locked database delays work; it never throws it away."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from django.db import OperationalError

from webapp import database
from webapp.accounts.models import User
from webapp.api.models import ApiToken


@pytest.mark.django_db(transaction=True)
def test_work_goes_on_when_a_lock_is_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = sqlite3.connect(tmp_path / "db", isolation_level=None)
    holder.execute("CREATE TABLE numbers (value)")
    holder.execute("BEGIN IMMEDIATE")
    released_at = time.monotonic() + 1.0

    def write() -> None:
        if time.monotonic() > released_at and holder.in_transaction:
            holder.execute("COMMIT")
        try:
            with sqlite3.connect(tmp_path / "db", timeout=0.1) as writer:
                writer.execute("INSERT INTO numbers VALUES (1)")
        except sqlite3.OperationalError as error:
            raise OperationalError(*error.args) from error

    monkeypatch.setattr(database, "FIRST_PAUSE_S", 0.1)
    database.patiently(write)
    assert holder.execute("SELECT count(*) FROM numbers").fetchone() == (1,)
    assert time.monotonic() > released_at


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_stays_is_an_error_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    monkeypatch.setattr(database, "FIRST_PAUSE_S", 0.05)

    def write() -> None:
        raise OperationalError("database is locked")

    with pytest.raises(OperationalError, match="locked"):
        database.patiently(write)


@pytest.mark.django_db
def test_the_use_of_a_token_is_noted_once_a_minute_and_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = User.objects.create(email="ada@example.org")
    token, secret = ApiToken.make(owner, "script")
    assert ApiToken.user_of(secret) == owner
    token.refresh_from_db()
    first = token.last_used
    ApiToken.user_of(secret)
    token.refresh_from_db()
    assert first is not None
    assert token.last_used == first
    ApiToken.objects.update(last_used=None)

    def locked(*args: object, **fields: object) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert ApiToken.user_of(secret) == owner
