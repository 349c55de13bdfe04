"""Lost workers, forgotten jobs and stray engines: the reaper sends runs again or ends them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
import rq
from django.utils import timezone
from rq.serializers import JSONSerializer

from tests.webapp.conftest import silent
from webapp import engine
from webapp.accounts.models import User
from webapp.ops import queues
from webapp.ops.queues import is_alive  # the real one: the fixture "jobs" replaces the attribute
from webapp.portfolio import rows
from webapp.runs import journal
from webapp.runs.jobs import reap, train
from webapp.runs.models import Prediction, Run


@pytest.fixture(autouse=True)
def portfolio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "write_enabled", lambda path, *_: path.write_text("[]"))


def test_a_lost_worker_is_retried_once_keeping_what_was_scored(
    owner: User, make_dataset: Any, make_run: Any, engine_plan: Any, jobs: Any
) -> None:
    run = make_run(make_dataset(owner), state="running", tries=1)
    silent(run)
    assert reap() == 1
    run.refresh_from_db()
    assert run.state == Run.State.QUEUED
    assert "worker of this run was lost" in run.error
    assert len(journal.lost_points(run)) == 3
    assert ("train", "webapp.runs.jobs.train", (run.pk,)) in jobs
    engine_plan(points=[])
    train(run.pk)  # the second try brings nothing: the first one counts again
    run.refresh_from_db()
    assert run.state == Run.State.FAILED
    assert run.points.count() == 3
    assert (run.dir / "results.json").exists()


def test_a_worker_lost_twice_ends_the_run(owner: User, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner), state="running", tries=2)
    silent(run)
    reap()
    run.refresh_from_db()
    assert "A fault stopped the run" in run.reason  # it had predictions
    empty = make_run(run.dataset, state="running", tries=2)
    empty.points.all().delete()
    (empty.dir / "events.jsonl").unlink()
    silent(empty)
    reap()
    empty.refresh_from_db()
    assert empty.state == Run.State.FAILED
    assert not empty.charged


def test_a_busy_worker_is_left_alone(owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(queues, "is_alive", lambda job_id: True)
    run = make_run(make_dataset(owner), state="running", heartbeat=timezone.now())
    assert reap() == 0
    silent(run)  # the database was locked for longer than a heartbeat may be away
    assert reap() == 0


def test_a_run_that_redis_forgot_is_queued_again(queued: Run, monkeypatch: Any, jobs: Any) -> None:
    silent(queued)
    monkeypatch.setattr(queues, "is_alive", lambda job_id: True)
    assert reap() == 0
    monkeypatch.setattr(queues, "is_alive", lambda job_id: False)
    assert reap() == 1
    assert ("train", "webapp.runs.jobs.train", (queued.pk,)) in jobs


def test_a_job_is_alive_until_it_ended_or_its_worker_was_lost(redis_socket: Path, monkeypatch: Any) -> None:
    connection = redis.Redis(unix_socket_path=str(redis_socket))
    monkeypatch.setattr(django_rq, "get_connection", lambda name: connection)
    assert not is_alive("train-x-1")
    job = rq.job.Job.create(
        "webapp.runs.jobs.train", ("x",), id="train-x-1", connection=connection, serializer=JSONSerializer
    )
    job.origin, job.worker_name = "train", "train.here.1"
    job.save()
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    connection.hset("rq:worker:train.here.1", "last_heartbeat", now)
    for status, alive in {"queued": True, "started": True, "failed": False, "finished": False}.items():
        job.set_status(status)
        assert is_alive("train-x-1") == alive
    job.set_status("started")
    long_ago = (timezone.now() - timedelta(seconds=13)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    connection.hset("rq:worker:train.here.1", "last_heartbeat", long_ago)
    assert not is_alive("train-x-1")
    connection.delete("rq:worker:train.here.1")
    assert not is_alive("train-x-1")
    job.set_status("queued")
    job.origin = "work"  # where an earlier version sent it
    job.save()
    assert not is_alive("train-x-1")


def test_packing_is_given_up_when_its_job_is_gone(
    owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    run = make_run(make_dataset(owner), export_state="queued", ended=long_ago)
    monkeypatch.setattr(queues, "is_alive", lambda job_id: False)
    assert reap() == 0  # packed again just now, though the run ended long ago
    Run.objects.update(state_since=long_ago)
    monkeypatch.setattr(queues, "is_alive", lambda job_id: job_id == f"export-{run.pk}")
    assert reap() == 0  # it waits behind a long conversion
    monkeypatch.setattr(queues, "is_alive", lambda job_id: False)
    assert reap() == 1
    run.refresh_from_db()
    assert run.export_state == Run.Export.FAILED
    assert "Try to pack it again" in run.export_error


@pytest.mark.parametrize(("age_s", "alive", "ended"), [(5, False, 0), (90, True, 0), (90, False, 1), (700, True, 1)])
def test_a_prediction_nobody_makes_is_ended_and_its_input_deleted(
    owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any, age_s: int, alive: bool, ended: int
) -> None:
    run = make_run(make_dataset(owner), export_state="ready")
    prediction = Prediction.objects.create(owner=owner, run=run, input_name="x.png")
    Prediction.objects.update(created=timezone.now() - timedelta(seconds=age_s))
    (prediction.dir / "input").mkdir(parents=True)
    monkeypatch.setattr(queues, "is_alive", lambda job_id: alive)
    assert reap() == ended
    prediction.refresh_from_db()
    assert (prediction.state == Prediction.State.FAILED) == bool(prediction.error) == bool(ended)
    assert (prediction.dir / "input").exists() == (not ended)


def test_who_was_taken_for_lost_writes_nothing_more(queued: Run, engine_plan: Any, monkeypatch: Any) -> None:
    """A worker that was too slow to show that it lives: the reaper has sent the run to another one."""
    engine_plan(points=[(1.0, 0.5)], sleep_s=60)
    take, taken_over = journal.take, []

    def take_then_lose(run: Run) -> int:
        count = take(run)
        if run.points.exists() and not taken_over:
            taken_over.append(run)
            silent(run)
            assert reap() == 1
        return count

    monkeypatch.setattr(journal, "take", take_then_lose)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.QUEUED
    assert queued.tries == 1
    assert len(journal.lost_points(queued)) == 1


def test_a_stray_engine_is_ended(tmp_path: Path) -> None:
    code = "import time; print('up', flush=True); time.sleep(30)"
    stray = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert stray.stdout is not None
    stray.stdout.readline()  # just after exec its command line is still empty
    note = tmp_path / "engine.pid"
    engine.remember(stray.pid, tmp_path)
    signed = note.read_text()
    for forged in (str(stray.pid), signed.replace(str(stray.pid), str(os.getpid())), signed[:-1]):  # by the run's code
        note.write_text(forged)
        engine.end_stray(tmp_path)
    assert stray.poll() is None
    note.write_text(signed)
    engine.end_stray(tmp_path)
    stray.stdout.close()
    assert stray.wait(timeout=5) is not None
    assert not Path(f"/proc/{stray.pid}").exists()
