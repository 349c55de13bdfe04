"""The jobs of the workers (train, pack, predict), and the reaper's care for runs whose worker was lost.

Jobs take ids only.  Each begins by claiming its row with a filtered update, so that a job delivered twice does its
work once.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from webapp import engine, store
from webapp.challenges import scores
from webapp.database import briefly, patiently
from webapp.datasets.models import Dataset
from webapp.datasets.storage import directory_bytes, measure_run
from webapp.ops import queues
from webapp.ops.health import probes
from webapp.ops.models import Fault
from webapp.portfolio import rows
from webapp.runs import ending, journal, queue, why
from webapp.runs.models import Prediction, Run
from webapp.runs.pages import alike

log = logging.getLogger(__name__)

POLL_S = 0.2
HEARTBEAT_S = 5
STOP_PATIENCE_S = 30  # from the polite signal to the kill
MAX_TRIES = 2
END_LIMIT_S = 30  # from the end of the budget, or the last sign of life after it, to the kill
PREDICT_PATIENCE = timedelta(minutes=10)
NOT_PACKED = "The model could not be packed; your run and its scores are safe. Try to pack it again."
NOT_ANSWERED = "The prediction failed because of this server. Try again, or download the model."
NO_WORKER = "No worker answered within ten minutes: try again later."
LOST = "The worker of this run was lost (a crash or a restart of the machine)"
KILLED = "This run was killed from outside, most likely because memory ran out"
TOO_SLOW = "The engine did not end in time and was stopped."


def train(run_id: str) -> None:
    """Claim the run, let the engine learn, follow its journal, and write down how it ended."""
    now = timezone.now()
    queued = Run.objects.filter(pk=run_id, state=Run.State.QUEUED)
    claim = {"state": Run.State.RUNNING, "state_since": now, "heartbeat": now, "tries": F("tries") + 1}
    if not patiently(lambda: queued.update(**claim)):
        return
    run = patiently(Run.objects.select_related("dataset", "owner").filter(pk=run_id).get)
    with store.working_on(run.folder):
        _train(run)


def _train(run: Run) -> None:
    try:
        with store.following(run.folder):
            code, trouble = _follow(run, _start(run))
        if patiently(lambda: _was_taken_over(run)):
            return
        patiently(lambda: journal.take(run))
        if not trouble and engine.was_killed(run.dir, code) and patiently(lambda: _start_again(run)):
            return
        store.push(run.folder)
        patiently(lambda: ending.settle(run, code, trouble))
        patiently(lambda: scores.settle(run.pk))
    except Exception as error:
        failed = f"The worker of this run failed ({type(error).__name__})."
        reason = ending.NO_ROOM if isinstance(error, OSError) and probes.is_disk_full(error) else failed
        patiently(lambda: ending.settle(run, None, reason))
        raise
    finally:
        patiently(lambda: measure_run(run.pk))
        ending.forget_if_deleted(run)


def _start_again(run: Run) -> bool:
    """After its engine was killed from outside, once."""
    mine = Run.objects.filter(pk=run.pk, state=Run.State.RUNNING, tries=run.tries)
    if run.tries >= MAX_TRIES or not mine.update(**_queued_again(KILLED)):
        return False
    Fault.objects.create(what=ending.KILLED, done="The run starts once more; its earlier scores are kept.")
    _queue_again(run)
    return True


def _queued_again(why: str) -> dict[str, Any]:
    """What a row says that starts once more."""
    error = f"{why}, so it starts once more, with the full training time. Its earlier scores are kept."
    return {"state": Run.State.QUEUED, "state_since": timezone.now(), "heartbeat": None, "error": error}


def _queue_again(run: Run) -> None:
    journal.put_aside(run)
    store.push(run.folder)
    queue.enqueue_train(run)


def _was_taken_over(run: Run) -> bool:
    """Whether the reaper took us for lost: then the run is for the next try to write down."""
    next_try = Q(state=Run.State.QUEUED) | ~Q(tries=run.tries)
    return Run.objects.filter(next_try, pk=run.pk).exists()


def _start(run: Run) -> engine.Process:
    engine.end_stray(run.dir)
    run.dir.mkdir(parents=True, exist_ok=True)
    portfolio = run.dir / "portfolio.yaml"
    patiently(lambda: rows.write_enabled(portfolio, run))
    return engine.start_run(
        run.dataset.autodl_dir,
        run.dir,
        budget_s=run.budget_s,
        t0_s=run.t0_s,
        model=run.model,
        seed=run.seed,
        portfolio=portfolio,
    )


def _follow(run: Run, process: engine.Process) -> tuple[int, str]:
    """Journal into rows, the owner's wishes into signals, until the engine has ended or its time is up.

    What a locked database cannot take now is written in one of the next rounds.

    Returns:
        Its exit code, and a sentence if we had to end it.
    """
    deadline = time.monotonic() + run.budget_s + queue.OVERTIME_S
    row = Run.objects.filter(pk=run.pk)
    state: str | None = Run.State.RUNNING
    asked_at = beat_at = heard_at = 0.0
    trouble = ""
    try:
        while process.poll() is None:
            now = time.monotonic()
            state = briefly(row.values_list("state", flat=True).first, state)
            if state not in (Run.State.RUNNING, Run.State.STOPPING):
                break  # cancelled, deleted, or taken over
            if now > deadline or _hangs(run, now - heard_at):
                trouble = TOO_SLOW
                break
            if state == Run.State.STOPPING and not asked_at:
                asked_at = now
                process.terminate()
            if asked_at and now > asked_at + STOP_PATIENCE_S:
                break
            if briefly(lambda: journal.take(run), 0):
                heard_at = now
            if now > beat_at + HEARTBEAT_S:
                beat_at = now
                briefly(lambda: row.update(heartbeat=timezone.now(), size_bytes=directory_bytes(run.dir)), 0)
            time.sleep(POLL_S)
    finally:
        engine.end(process)  # also when RQ's timeout or a shutdown ends this job
    return process.returncode, trouble


def _hangs(run: Run, silent_s: float) -> bool:
    """Whether the engine, which ends itself at its budget, is END_LIMIT_S late and as long silent.

    Late but not silent, it still scores what the model predicted before the end.
    """
    late_s = (timezone.now() - run.started).total_seconds() - run.budget_s if run.started else 0.0
    return min(late_s, silent_s) > END_LIMIT_S


def export(run_id: str) -> None:
    """Make and prove ``model.zip``."""
    waiting = Run.objects.filter(pk=run_id, export_state=Run.Export.QUEUED)
    run = patiently(waiting.select_related("dataset").first)
    if run is None:
        return
    with store.working_on(run.folder):
        error = _export(run, waiting)
        store.push(run.folder)
    state = Run.Export.FAILED if error else Run.Export.READY
    patiently(lambda: waiting.update(export_state=state, export_error=error))
    patiently(lambda: measure_run(run_id))
    ending.forget_if_deleted(run)


def _export(run: Run, waiting: QuerySet[Run]) -> str:
    """Why it could not be packed; empty if it could."""
    try:
        should_stop = queues.stop_unless(waiting.exists, queue.EXPORT_LIMIT_S)
        engine.export(run.dir, run.dataset.autodl_dir, should_stop)
    except engine.DataError as reason:
        return str(reason)
    except engine.Stopped:
        queues.log_stop(f"export of run {run.pk}", waiting.exists)
        return NOT_PACKED
    except (engine.EngineError, OSError) as reason:
        log.error("export of run %s: %s", run.pk, reason)
        if run.dir.exists() and not probes.is_disk_full(reason):
            (run.dir / "export.log").write_text(str(reason))
        return _told(reason, NOT_PACKED, "A model could not be packed")
    return ""


def _told(reason: Exception, sentence: str, what: str) -> str:
    """A fault of ours, for the status page and for the owner: the sentence, and the disk if it is full."""
    is_full = probes.is_disk_full(reason)
    faults = f"{probes.DISK_FULL}: {what[0].lower()}{what[1:]}." if is_full else f"{what}."
    patiently(lambda: Fault.objects.create(what=faults, done="Its owner can try again."))
    return f"{probes.DISK_FULL}: tell the administrator. {sentence}" if is_full else sentence


def compare(dataset_id: str) -> None:
    """Which known classes those of a data set look like, once; off every run's clock.  Failed, it says nothing."""
    rows = Dataset.objects.filter(pk=dataset_id)
    dataset = patiently(rows.first)
    if dataset is None or not alike.is_missing(dataset):
        return
    with store.working_on(dataset.dir / "autodl"):
        _compare(dataset, rows)
        store.push(dataset.dir / "autodl")


def _compare(dataset: Dataset, rows: QuerySet[Dataset]) -> None:
    try:
        should_stop = queues.stop_unless(rows.exists, queue.COMPARE_LIMIT_S)
        engine.compare_classes(dataset.autodl_dir, dataset.modality, alike.path(dataset), should_stop)
    except engine.Stopped:
        queues.log_stop(f"comparing the classes of data set {dataset.pk}", rows.exists)
        alike.give_up(dataset)
    except (engine.DataError, engine.EngineError, OSError) as reason:
        log.error("comparing the classes of data set %s: %s", dataset.pk, reason)
        alike.give_up(dataset)


def predict(prediction_id: str) -> None:
    """New raw data through the packed model."""
    _predict(prediction_id, lambda prediction: None)


def predict_and_explain(prediction_id: str) -> None:
    """The answer first, then why, for a single input."""
    _predict(prediction_id, why.explain_new)


def _predict(prediction_id: str, then: Callable[[Prediction], None]) -> None:
    waiting = Prediction.objects.filter(pk=prediction_id, state=Prediction.State.QUEUED)
    prediction = patiently(waiting.select_related("run").first)
    if prediction is None:
        return
    with store.working_on(prediction.folder):
        _answer(prediction, waiting, then)
        store.push(prediction.folder)
    patiently(lambda: measure_run(prediction.run_id))


def _answer(prediction: Prediction, waiting: QuerySet[Prediction], then: Callable[[Prediction], None]) -> None:
    error = ""
    try:
        should_stop = queues.stop_unless(waiting.exists, queue.PREDICT_LIMIT_S)
        engine.predict(prediction.run.model_path, prediction.source, prediction.output_path, should_stop)
    except engine.DataError as reason:
        error = str(reason)
    except engine.Stopped:
        queues.log_stop(f"prediction {prediction.pk}", waiting.exists)
        error = NOT_ANSWERED
    except (engine.EngineError, OSError) as reason:
        log.error("prediction %s: %s", prediction.pk, reason)
        error = _told(reason, NOT_ANSWERED, "A prediction failed")
    store.push(prediction.folder)
    try:
        if patiently(lambda: _settle(prediction, error)) and not error:
            then(prediction)
    finally:
        _forget_input(prediction)


def _forget_input(prediction: Prediction) -> None:
    """Of what was given only the answers are kept."""
    shutil.rmtree(prediction.folder / "input", ignore_errors=True)


def _end_prediction(prediction: Prediction, error: str) -> bool:
    _forget_input(prediction)
    store.push(prediction.folder)
    return _settle(prediction, error)


def _settle(prediction: Prediction, error: str) -> bool:
    """Ready, or failed with a sentence."""
    state = Prediction.State.FAILED if error else Prediction.State.READY
    waiting = Prediction.objects.filter(pk=prediction.pk, state=Prediction.State.QUEUED)
    return bool(waiting.update(state=state, error=error))


def reap() -> int:
    """Look after what nobody works on any more; called every 5 s.  Returns how many rows were touched."""
    now = timezone.now()
    silent = now - queues.LOST_AFTER
    quiet = Q(heartbeat__lt=silent) | Q(heartbeat=None, state_since__lt=silent)
    touched = 0
    for run in Run.objects.filter(quiet, state__in=(Run.State.RUNNING, Run.State.STOPPING)):
        if not queues.is_alive(run.job_id):  # else its worker waits for the database
            touched += _lost(run)
    for run in Run.objects.filter(state=Run.State.QUEUED, state_since__lt=silent):
        if not queues.is_alive(run.job_id):
            queue.enqueue_train(run)
            touched += 1
    return touched + _reap_exports(silent) + _reap_predictions(now)


def _reap_exports(silent: datetime) -> int:
    """Packing whose job is gone has failed; one that only waits is left alone, however long."""
    waiting = Run.objects.filter(export_state=Run.Export.QUEUED, state_since__lt=silent)
    gone = [run.pk for run in waiting.only("pk") if not queues.is_alive(queue.export_job(run.pk))]
    return waiting.filter(pk__in=gone).update(export_state=Run.Export.FAILED, export_error=NOT_PACKED)


def _reap_predictions(now: datetime) -> int:
    """Somebody waits for the answer: after ten minutes it is better to tell them to come back."""
    touched = 0
    for prediction in Prediction.objects.select_related("run").filter(state=Prediction.State.QUEUED):
        age = now - prediction.created
        if age > PREDICT_PATIENCE:
            touched += _end_prediction(prediction, NO_WORKER)
        elif age > queues.LOST_AFTER and not queues.is_alive(queue.predict_job(prediction.pk)):
            touched += _end_prediction(prediction, NOT_ANSWERED)
    return touched


def _lost(run: Run) -> bool:
    """The worker of this run is silent: try once more, or finish with what was scored."""
    mine = Run.objects.filter(pk=run.pk, state=run.state, heartbeat=run.heartbeat)
    retry = run.state == Run.State.RUNNING and run.tries < MAX_TRIES
    fields: dict[str, Any] = {"heartbeat": timezone.now()}  # ours to finish
    if retry:
        fields = _queued_again(LOST)
    with store.working_on(run.folder):
        if not mine.update(**fields):
            return False
        _take_over(run, retry)
    return True


def _take_over(run: Run, retry: bool) -> None:
    engine.end_stray(run.dir)
    patiently(lambda: journal.take(run))
    if retry:
        _queue_again(run)
    else:
        patiently(lambda: ending.settle(run, None, "The worker of this run was lost."))
