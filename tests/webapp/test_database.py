"""A locked database delays work; it never throws it away."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet
from django.utils.module_loading import import_string

from tests.webapp import toys
from webapp import database, engine
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets import jobs as conversion
from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow, Score
from webapp.runs import ending, jobs, journal, queue, start
from webapp.runs.models import Run

Lock = Callable[[float], None]


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
    assert ApiToken.find(secret)
    token.refresh_from_db()
    first = token.last_used
    ApiToken.find(secret)
    token.refresh_from_db()
    assert first is not None
    assert token.last_used == first
    ApiToken.objects.update(last_used=None)

    def locked(*args: object, **fields: object) -> int:
        raise OperationalError("database is locked")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", locked)
    assert ApiToken.find(secret)


@pytest.fixture
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(database, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(database, "BRIEF_S", 0.3)


def _engine(monkeypatch: pytest.MonkeyPatch, code: str) -> list[subprocess.Popen[bytes]]:
    """Stands for the engine; returns its process once it was started."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", code]))
        return started[-1]

    monkeypatch.setattr(engine, "start_run", start)
    return started


SLEEPS = "import time; time.sleep(60)"
ENDS = "import time; time.sleep(0.5)"


@pytest.mark.parametrize(("code", "overtime_s"), [(ENDS, 600), (SLEEPS, -19)])
def test_a_locked_database_hides_neither_the_end_of_the_engine_nor_the_deadline(
    code: str,
    overtime_s: int,
    lock_database: Lock,
    quick_pauses: None,
    owner: User,
    make_dataset: Any,
    make_run: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(make_dataset(owner), state="running", budget_s=20)
    monkeypatch.setattr(queue, "OVERTIME_S", overtime_s)
    _engine(monkeypatch, code)
    lock_database(4.5)
    begun = time.monotonic()
    _, trouble = jobs._follow(run, engine.start_run())
    assert time.monotonic() - begun < 4
    assert trouble == ("" if code == ENDS else jobs.TOO_SLOW)
    assert run.event_offset == 0  # it could not be written
    database.patiently(lambda: journal.take(run))
    assert run.event_offset > 0


def test_jobs_claim_their_rows_once_a_lock_is_gone(
    lock_database: Lock, quick_pauses: None, owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    run = make_run(make_dataset(owner), state="queued")
    dataset = make_dataset(owner, state="queued", modality="")
    _engine(monkeypatch, "")
    monkeypatch.setattr(engine, "convert", lambda source, out, *_: toys.write_autodl(out))
    lock_database(1.5)
    conversion.convert(dataset.pk)
    lock_database(1.5)
    jobs.train(run.pk)
    dataset.refresh_from_db()
    run.refresh_from_db()
    assert dataset.state == Dataset.State.READY
    assert (run.state, run.tries) == (Run.State.FAILED, 1)  # an engine that does nothing
    assert "ended without a message (code 0)" in run.error


@pytest.mark.parametrize("job", [jobs.export, jobs.compare, jobs.predict])
def test_jobs_wait_until_the_database_answers(
    job: Any, quick_pauses: None, monkeypatch: Any, transactional_db: None
) -> None:
    """The first question fails twice."""
    asked: list[None] = []
    first = QuerySet.first

    def fails(rows: QuerySet[Any]) -> Any:
        asked.append(None)
        if len(asked) < 3:
            raise OperationalError("the server closed the connection")
        return first(rows)

    monkeypatch.setattr(QuerySet, "first", fails)
    job("gone")
    assert len(asked) == 3


@pytest.mark.parametrize("broken", ["webapp.runs.teaching.add_run_score", "webapp.portfolio.gains.learn"])
def test_a_run_is_charged_and_teaches_once_when_the_database_fails_while_it_teaches(
    broken: str,
    quick_pauses: None,
    transactional_db: None,
    owner: User,
    make_dataset: Any,
    make_run: Any,
    jobs: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = make_run(make_dataset(owner), state="running", model="linear", teaches=True)
    PortfolioRow.objects.create(name="linear", modality="image", model="linear")
    (run.dir / "scores.json").write_text('{"stopped": "done", "alc": 0.7}')
    works, failures = import_string(broken), [OperationalError("database is locked")] * 2

    def fails(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return works(*arguments)

    monkeypatch.setattr(broken, fails)
    database.patiently(lambda: ending.settle(run, 0))
    run.refresh_from_db()
    assert (run.state, run.charged, run.alc) == (Run.State.FINISHED, True, 0.7)
    assert Score.objects.filter(run=run).count() == 1
    assert [job for _, job, _ in jobs].count("webapp.runs.jobs.export") == 1
    assert start.quota(owner).left_today == owner.max_runs_per_day - 1
