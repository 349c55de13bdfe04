"""Train, stop, cancel, lost workers, packing and predicting, with an engine that is a ten-line script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_rq
import pytest
import redis
import rq
from django.utils import timezone
from rq.serializers import JSONSerializer

from automl_engine.run import events
from webapp import engine
from webapp.accounts.models import User
from webapp.ops import queues
from webapp.ops.queues import is_alive  # the real one: the fixture "jobs" replaces the attribute
from webapp.portfolio import rows
from webapp.runs import ending, journal, queue
from webapp.runs import jobs as run_jobs
from webapp.runs.jobs import export, predict, reap, train
from webapp.runs.models import Prediction, Run, ScorePoint

ENGINE = """
import json, signal, sys, time
from pathlib import Path
from automl_engine.run import events
out, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
def finish(stopped, reason):
    if plan["points"]:
        scores = dict(alc=0.7, nauc=plan["points"][-1][1], accuracy=0.9, first_prediction_s=0.5)
        (out / "scores.json").write_text(json.dumps(scores | dict(stopped=stopped, reason=reason)))
    elif stopped == "budget":
        (out / "scores.json").write_text(json.dumps(dict(stopped="budget", reason="")))
    events.append(out / "events.jsonl", "finished", alc=0.7, nauc=0.9, accuracy=0.9, reason=reason, predictions=1)
    sys.exit(0)
signal.signal(signal.SIGTERM, lambda *_: finish("user", "stopped by the user"))
events.append(out / "events.jsonl", "started", t=0.0, device="cpu", budget_s=20)
for k, (t, nauc) in enumerate(plan["points"]):
    scores = dict(nauc=nauc, accuracy=nauc, soft_accuracy=nauc, alc=nauc / 2)
    events.append(out / "events.jsonl", "score", k=k, t=t, by="toy", **scores)
print(plan.get("say", "working"), flush=True)
time.sleep(plan.get("sleep_s", 0))
if plan.get("code"):
    sys.exit(plan["code"])
finish(plan.get("stopped", "done"), "nothing left to learn")
"""


@pytest.fixture(autouse=True)
def portfolio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "write_enabled", lambda path, *_: path.write_text("[]"))


@pytest.fixture
def engine_plan(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., None]:
    """``engine_plan(points=[(t, nauc)], sleep_s=, code=, say=, stopped=)``: what the engine will do."""

    def plan(**wishes: Any) -> None:
        def start(_data: Path, run_dir: Path, **_: Any) -> subprocess.Popen[bytes]:
            with open(run_dir / "engine.log", "ab") as log:
                command = [sys.executable, "-c", ENGINE, str(run_dir), json.dumps({"points": []} | wishes)]
                process = subprocess.Popen(command, stdout=log, stderr=log, cwd=settings.BASE_DIR)
            (run_dir / "engine.pid").write_text(str(process.pid))
            return process

        monkeypatch.setattr(engine, "start_run", start)

    return plan


@pytest.fixture
def queued(owner: User, make_dataset: Any, make_run: Any) -> Run:
    return make_run(make_dataset(owner), state="queued")


POINTS = [(0.5, 0.2), (2.0, 0.8), (6.0, 0.9)]


def test_train_writes_the_curve_and_the_end(queued: Run, engine_plan: Any, jobs: Any) -> None:
    engine_plan(points=POINTS)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FINISHED
    assert queued.export_state == Run.Export.QUEUED
    assert queued.reason == "Training ended early: nothing left to learn."
    assert (queued.alc, queued.nauc, queued.first_prediction_s) == (0.7, 0.9, 0.5)
    assert queued.started
    assert queued.tries == 1
    assert list(queued.points.values_list("t", "nauc")) == POINTS
    assert ("pack", "webapp.runs.jobs.export", (queued.pk,)) in jobs


def test_a_job_delivered_twice_works_once(queued: Run, engine_plan: Any) -> None:
    engine_plan(points=POINTS)
    train(queued.pk)
    ended = Run.objects.get(pk=queued.pk).ended
    train(queued.pk)
    assert Run.objects.get(pk=queued.pk).ended == ended


def test_replaying_the_journal_changes_nothing(owner: User, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner), state="running")
    ScorePoint.objects.all().delete()
    assert journal.take(run) == 9
    before = list(run.points.values("k", "t", "nauc", "alc", "by"))
    assert journal.take(run) == 0
    Run.objects.update(event_offset=0)
    run.refresh_from_db()
    journal.take(run)
    assert list(run.points.values("k", "t", "nauc", "alc", "by")) == before
    assert len(before) == 3


def test_half_a_line_waits_for_its_end(queued: Run) -> None:
    queued.dir.mkdir(parents=True)
    path = queued.dir / "events.jsonl"
    events.append(path, "score", k=0, t=1.0, nauc=0.5, accuracy=None, soft_accuracy=0.5, alc=0.4, by="toy")
    with open(path, "a") as file:
        file.write('{"event": "sco')
    journal.take(queued)
    assert queued.points.count() == 1
    assert queued.event_offset < path.stat().st_size


def _during(run: Run, engine_plan: Any, act: Callable[[], Any]) -> float:
    """Train in this thread while ``act`` happens once two points are there; returns seconds from act to the end."""
    engine_plan(points=POINTS[:2], sleep_s=30)
    acted: list[float] = []
    original = journal.take

    def take(run: Run) -> int:
        count = original(run)
        if not acted and run.points.count() == 2:
            acted.append(time.monotonic())
            act()
        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "take", take)
        train(run.pk)
    return time.monotonic() - acted[0]


def test_stop_keeps_the_best_within_two_seconds(queued: Run, owner_client: Any, engine_plan: Any) -> None:
    taken_s = _during(queued, engine_plan, lambda: owner_client.post(f"/runs/{queued.pk}/stop"))
    queued.refresh_from_db()
    assert taken_s < 2
    assert queued.state == Run.State.FINISHED
    assert queued.reason == "You stopped it; the best model is kept."
    assert queued.points.count() == 2


def test_cancel_ends_the_engine_within_two_seconds(queued: Run, owner_client: Any, engine_plan: Any) -> None:
    taken_s = _during(queued, engine_plan, lambda: owner_client.post(f"/runs/{queued.pk}/cancel"))
    queued.refresh_from_db()
    assert taken_s < 2
    assert queued.state == Run.State.CANCELLED
    assert queued.charged
    pid = int((queued.dir / "engine.pid").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_a_run_deleted_while_it_learns_leaves_nothing(queued: Run, engine_plan: Any) -> None:
    taken_s = _during(queued, engine_plan, lambda: Run.objects.get(pk=queued.pk).delete())
    assert taken_s < 2
    assert not queued.dir.exists()
    assert not ScorePoint.objects.exists()


def test_a_waiting_run_is_cancelled_for_free(queued: Run, owner_client: Any) -> None:
    owner_client.post(f"/runs/{queued.pk}/stop")
    queued.refresh_from_db()
    assert queued.state == Run.State.CANCELLED
    assert not queued.charged
    train(queued.pk)
    assert not queued.dir.exists()


@pytest.mark.parametrize(
    ("plan", "sentence", "charged"),
    [
        ({"code": 2, "say": "The labels do not fit the data."}, "The labels do not fit the data.", True),
        ({"code": 1, "say": "RuntimeError: out of memory"}, "ran out of memory", False),
        ({"code": 3}, "ended without a message (code 3)", False),
        ({"stopped": "budget"}, "There was no prediction within 20 s", False),
    ],
)
def test_failures_say_what_happened(queued: Run, engine_plan: Any, plan: Any, sentence: str, charged: bool) -> None:
    engine_plan(**plan)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FAILED
    assert sentence in queued.error
    assert queued.charged == charged


def test_a_crash_keeps_earlier_predictions(queued: Run, engine_plan: Any) -> None:
    engine_plan(points=POINTS, code=1, say="MemoryError")
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FAILED
    assert "out of memory" in queued.error
    assert "A fault stopped the run" in queued.reason
    assert queued.nauc == 0.9
    assert queued.points.count() == 3
    assert not queued.charged


def test_a_killed_engine_is_a_fault_that_everybody_sees(queued: Run, engine_plan: Any, owner_client: Any) -> None:
    def kill() -> None:
        os.kill(int((queued.dir / "engine.pid").read_text()), signal.SIGKILL)

    _during(queued, engine_plan, kill)
    queued.refresh_from_db()
    assert queued.points.count() == 2
    assert queued.export_state == Run.Export.QUEUED
    page = owner_client.get(f"/runs/{queued.pk}").content.decode()
    assert "A fault stopped the run" in page
    assert 'class="badge good"' not in page
    assert "stopped by the system" in owner_client.get("/status").content.decode()


def test_our_own_bug_is_told_and_raised(queued: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(engine, "start_run", broken)
    with pytest.raises(RuntimeError):
        train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FAILED
    assert not queued.charged
    assert "Your data is not the cause" in queued.error


def test_the_engine_never_outlives_its_job(queued: Run, engine_plan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine_plan(points=POINTS, sleep_s=30)

    def timeout(_: Run) -> int:
        raise TimeoutError

    monkeypatch.setattr(journal, "take", timeout)
    with pytest.raises(TimeoutError):
        train(queued.pk)
    assert not Path(f"/proc/{(queued.dir / 'engine.pid').read_text()}").exists()


def _silent(run: Run) -> None:
    long_ago = timezone.now() - timedelta(seconds=90)
    Run.objects.filter(pk=run.pk).update(heartbeat=long_ago, state_since=long_ago)


def test_a_lost_worker_is_retried_once_keeping_what_was_scored(
    owner: User, make_dataset: Any, make_run: Any, engine_plan: Any, jobs: Any
) -> None:
    run = make_run(make_dataset(owner), state="running", tries=1)
    _silent(run)
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
    _silent(run)
    reap()
    run.refresh_from_db()
    assert "A fault stopped the run" in run.reason  # it had predictions
    empty = make_run(run.dataset, state="running", tries=2)
    empty.points.all().delete()
    (empty.dir / "events.jsonl").unlink()
    _silent(empty)
    reap()
    empty.refresh_from_db()
    assert empty.state == Run.State.FAILED
    assert not empty.charged


def test_a_busy_worker_is_left_alone(owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(queues, "is_alive", lambda job_id: True)
    run = make_run(make_dataset(owner), state="running", heartbeat=timezone.now())
    assert reap() == 0
    _silent(run)  # the database was locked for longer than a heartbeat may be away
    assert reap() == 0


def test_a_run_that_redis_forgot_is_queued_again(queued: Run, monkeypatch: Any, jobs: Any) -> None:
    _silent(queued)
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


def test_a_frozen_engine_is_ended_soon_after_the_budget(queued: Run, engine_plan: Any, monkeypatch: Any) -> None:
    """Frozen, it can neither end its run nor answer."""
    monkeypatch.setattr(run_jobs, "END_LIMIT_S", 2)
    Run.objects.update(budget_s=1)
    engine_plan(points=[(1.0, 0.5)], sleep_s=60)

    def freeze() -> None:
        path = queued.dir / "engine.pid"
        while not (path.exists() and "working" in (queued.dir / "engine.log").read_text()):
            time.sleep(0.02)
        os.kill(int(path.read_text()), signal.SIGSTOP)

    thread = threading.Thread(target=freeze)
    thread.start()
    begun = time.monotonic()
    train(queued.pk)
    thread.join()
    assert 3 < time.monotonic() - begun < 7
    queued.refresh_from_db()
    assert queued.state == Run.State.FAILED
    assert "did not end in time" in queued.error
    assert not queued.charged
    assert queued.points.count() == 1
    assert "the last prediction before it is kept" in queued.reason


def test_who_was_taken_for_lost_writes_nothing_more(queued: Run, engine_plan: Any, monkeypatch: Any) -> None:
    """A worker that was too slow to show that it lives: the reaper has sent the run to another one."""
    engine_plan(points=[(1.0, 0.5)], sleep_s=60)
    take, taken_over = journal.take, []

    def take_then_lose(run: Run) -> int:
        count = take(run)
        if run.points.exists() and not taken_over:
            taken_over.append(run)
            _silent(run)
            assert reap() == 1
        return count

    monkeypatch.setattr(journal, "take", take_then_lose)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.QUEUED
    assert queued.tries == 1
    assert len(journal.lost_points(queued)) == 1


def test_an_engine_without_end_is_stopped_and_that_is_told(queued: Run, engine_plan: Any, monkeypatch: Any) -> None:
    engine_plan(points=POINTS, sleep_s=30)
    monkeypatch.setattr(queue, "OVERTIME_S", -19)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FAILED
    assert "did not end in time" in queued.error


def test_a_stray_engine_is_ended(tmp_path: Path) -> None:
    code = "import time; print('up', flush=True); time.sleep(30)"
    stray = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert stray.stdout is not None
    stray.stdout.readline()  # just after exec its command line is still empty
    (tmp_path / "engine.pid").write_text(str(stray.pid))
    engine.end_stray(tmp_path)
    stray.stdout.close()
    assert stray.wait(timeout=5) is not None
    assert not Path(f"/proc/{stray.pid}").exists()


def test_export_tells_success_and_failure(owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any) -> None:
    run = make_run(make_dataset(owner), export_state="queued")
    monkeypatch.setattr(engine, "export", lambda run_dir, data_dir, should_stop: run_dir / "model.zip")
    export(run.pk)
    run.refresh_from_db()
    assert run.export_state == Run.Export.READY

    def fails(*_: Any) -> None:
        raise engine.EngineError("ended with code 1: Traceback")

    Run.objects.update(export_state="queued")
    monkeypatch.setattr(engine, "export", fails)
    export(run.pk)
    run.refresh_from_db()
    assert run.export_state == Run.Export.FAILED
    assert "Traceback" not in run.export_error
    assert "Traceback" in (run.dir / "export.log").read_text()


def test_predict_keeps_the_answer_and_forgets_the_input(
    owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    run = make_run(make_dataset(owner), export_state="ready")
    good, bad = (Prediction.objects.create(owner=owner, run=run, input_name="x.png") for _ in range(2))
    for prediction in (good, bad):
        (prediction.dir / "input").mkdir(parents=True)
        (prediction.dir / "input" / "x.png").write_bytes(b"x")
    monkeypatch.setattr(engine, "predict", lambda model, source, out, _: out.write_text("name,prediction,a\nx,a,1\n"))
    predict(good.pk)
    good.refresh_from_db()
    assert good.state == Prediction.State.READY
    assert not (good.dir / "input").exists()

    def too_slow(*_: Any) -> None:
        raise engine.Stopped("it took too long")

    late = Prediction.objects.create(owner=owner, run=run, input_name="x.png")
    (late.dir / "input").mkdir(parents=True)
    (late.dir / "input" / "x.png").write_bytes(b"x")
    monkeypatch.setattr(engine, "predict", too_slow)
    predict(late.pk)
    late.refresh_from_db()
    assert "because of this server" in late.error
    assert not (late.dir / "input").exists()

    def unreadable(*_: Any) -> None:
        raise engine.DataError("x.png is not an image; give a PNG or JPEG.")

    monkeypatch.setattr(engine, "predict", unreadable)
    predict(bad.pk)
    bad.refresh_from_db()
    assert bad.error == "x.png is not an image; give a PNG or JPEG."


def test_done_at_the_very_end_means_the_budget_is_used_up(queued: Run) -> None:
    done = {"stopped": "done", "reason": "nothing more to learn"}
    queued.started = timezone.now() - timedelta(seconds=5)
    assert ending._why_ended(queued, done).startswith("Training ended early")
    queued.started = timezone.now() - timedelta(seconds=19.5)
    assert ending._why_ended(queued, done) == "The training time of 20 s is over."


def test_every_ending_has_a_sentence(queued: Run) -> None:
    queued.dir.mkdir(parents=True)
    for stopped in ending.ORDERLY:
        assert ending._why_ended(queued, {"stopped": stopped}).endswith(".")
