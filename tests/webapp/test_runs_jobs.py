"""Train, stop, cancel, packing and predicting, with an engine that is a ten-line script."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from automl_engine.run import child, events
from tests.webapp.conftest import POINTS
from webapp import engine
from webapp.accounts.models import User
from webapp.ops.models import Fault
from webapp.portfolio import rows
from webapp.runs import ending, journal, queue
from webapp.runs import jobs as run_jobs
from webapp.runs.jobs import export, predict, train
from webapp.runs.models import Prediction, Run, ScorePoint


@pytest.fixture(autouse=True)
def portfolio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "write_enabled", lambda path, *_: path.write_text("[]"))


def test_code_for_the_challenge_leaves_no_model(
    queued: Run, engine_plan: Any, jobs: Any, owner_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_plan(points=POINTS)
    read = engine.read_json
    monkeypatch.setattr(
        engine, "read_json", lambda path: {"model": "challenge"} if path.name == "run.json" else read(path)
    )
    train(queued.pk)
    queued.refresh_from_db()
    assert (queued.state, queued.export_state) == (Run.State.FINISHED, Run.Export.NONE)
    page = owner_client.get(f"/models/{queued.pk}").content.decode()
    assert "leaves no model to use here" in page
    assert "Pack it again" not in page


def test_train_writes_the_curve_and_the_end(queued: Run, engine_plan: Any, jobs: Any) -> None:
    engine_plan(points=POINTS)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FINISHED
    assert queued.export_state == Run.Export.QUEUED
    assert re.fullmatch(r"Training ended after \S+ s: nothing left to learn\.", queued.reason)
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
    assert queued.reason == "You stopped it; the model that is best on held-out training samples is kept."
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


@pytest.mark.parametrize("points", [[], POINTS])
@pytest.mark.parametrize(
    ("limit", "told", "fault"),
    [
        (child.memory_sentence(2**30), "give less of it. Your data is safe; the run does not count.", "out of memory"),
        ("This started more than 256 processes, the limit here; use fewer of them.", "is not the cause", "of a run"),
    ],
)
def test_a_limit_of_this_site_costs_nothing(
    queued: Run, engine_plan: Any, points: list[Any], limit: str, told: str, fault: str
) -> None:
    """The engine ends as for data that it cannot read if nothing was predicted; what to do about memory is kept."""
    engine_plan(points=points, code=0 if points else 2, limit=limit, stopped="failed")
    train(queued.pk)
    queued.refresh_from_db()
    assert (queued.state, queued.charged, queued.points.count()) == (Run.State.FAILED, False, len(points))
    assert limit.rstrip(".") in queued.error
    assert told in queued.error
    assert "Fix the data" not in queued.error
    assert fault in Fault.objects.get().what


def test_a_killed_engine_starts_once_more_and_that_everybody_sees(
    queued: Run, engine_plan: Any, owner_client: Any, jobs: Any
) -> None:
    def kill() -> None:
        os.kill(int((queued.dir / "engine.pid").read_text()), signal.SIGKILL)

    _during(queued, engine_plan, kill)
    queued.refresh_from_db()
    assert (queued.state, queued.tries) == (Run.State.QUEUED, 1)
    assert not queued.points.exists()
    assert len(journal.lost_points(queued)) == 2
    assert ("train", "webapp.runs.jobs.train", (queued.pk,)) in jobs
    assert "killed from outside, most likely because memory ran out, so it starts once more" in page(
        owner_client, queued
    )
    assert "The run starts once more" in owner_client.get("/status").content.decode()

    _during(queued, engine_plan, kill)
    queued.refresh_from_db()
    assert (queued.state, queued.tries, queued.charged) == (Run.State.FAILED, 2, False)
    assert queued.points.count() == 2
    assert queued.export_state == Run.Export.QUEUED
    assert "A fault stopped the run" in page(owner_client, queued)
    assert 'class="badge good"' not in page(owner_client, queued)
    assert "stopped by the system" in owner_client.get("/status").content.decode()


def page(client: Any, run: Run) -> str:
    return str(client.get(f"/runs/{run.pk}").content.decode())


@pytest.mark.parametrize("state", ["stopping", "cancelled"])
def test_who_stopped_a_run_gets_no_other_try(queued: Run, engine_plan: Any, state: str) -> None:
    def stop_and_kill() -> None:
        Run.objects.update(state=state)
        os.kill(int((queued.dir / "engine.pid").read_text()), signal.SIGKILL)

    _during(queued, engine_plan, stop_and_kill)
    queued.refresh_from_db()
    assert queued.state == ("finished" if state == "stopping" else state)
    assert queued.tries == 1


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


def test_an_engine_without_end_is_stopped_and_that_is_told(queued: Run, engine_plan: Any, monkeypatch: Any) -> None:
    engine_plan(points=POINTS, sleep_s=30)
    monkeypatch.setattr(queue, "OVERTIME_S", -19)
    train(queued.pk)
    queued.refresh_from_db()
    assert queued.state == Run.State.FAILED
    assert "did not end in time" in queued.error


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


def test_an_end_before_the_budget_has_the_reason_of_the_engine(queued: Run) -> None:
    done = {"stopped": "done", "reason": "nothing more to learn"}
    assert ending._why_ended(queued, done) == "Training ended: nothing more to learn."
    queued.started = timezone.now() - timedelta(seconds=15)
    assert ending._why_ended(queued, done) == "Training ended after 15 s: nothing more to learn."
    assert ending._why_ended(queued, {"stopped": "budget"}) == "The training time of 20 s is over."


def test_every_ending_has_a_sentence(queued: Run) -> None:
    queued.dir.mkdir(parents=True)
    for stopped in ending.ORDERLY:
        assert ending._why_ended(queued, {"stopped": stopped}).endswith(".")
