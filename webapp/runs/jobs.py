"""What the workers do for runs: train, pack, predict; and what the reaper does when a worker is gone.

Jobs take ids only.  Each begins by claiming its row with a filtered update, so that a job delivered twice does its
work once.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from webapp import engine
from webapp.portfolio import rows
from webapp.runs import ending, journal, queue
from webapp.runs.models import Prediction, Run

log = logging.getLogger(__name__)

POLL_S = 0.2
HEARTBEAT_S = 5
LOST_AFTER_S = 60
OVERTIME_S = 600  # loading before the clock and finishing after it, at most
STOP_PATIENCE_S = 30  # from the polite signal to the kill
MAX_TRIES = 2
UNSTARTED_CHECK_S = 60
STUCK_AFTER = {"export": timedelta(minutes=20), "predict": timedelta(minutes=10)}


def train(run_id: str) -> None:
    """Claim the run, let the engine learn, follow its journal, and write down how it ended."""
    now = timezone.now()
    claimed = Run.objects.filter(pk=run_id, state=Run.State.QUEUED).update(
        state=Run.State.RUNNING, state_since=now, heartbeat=now, tries=F("tries") + 1
    )
    if not claimed:
        return
    run = Run.objects.select_related("dataset").get(pk=run_id)
    try:
        code = _follow(run, _start(run))
        journal.take(run)
        ending.settle(run, code)
    except Exception as error:
        ending.settle(run, None, f"The worker of this run failed ({type(error).__name__}).")
        raise
    finally:
        ending.forget_if_deleted(run)


def _start(run: Run) -> subprocess.Popen[bytes]:
    engine.end_stray(run.dir)
    run.dir.mkdir(parents=True, exist_ok=True)
    portfolio = run.dir / "portfolio.yaml"
    rows.write_enabled(portfolio)
    return engine.start_run(
        run.dataset.autodl_dir,
        run.dir,
        budget_s=run.budget_s,
        t0_s=run.t0_s,
        model=run.model,
        seed=run.seed,
        portfolio=portfolio,
    )


def _follow(run: Run, process: subprocess.Popen[bytes]) -> int:
    """Journal into rows, the owner's wishes into signals, until the engine has ended; returns its exit code."""
    deadline = time.monotonic() + run.budget_s + OVERTIME_S
    asked_at = beat_at = 0.0
    try:
        while process.poll() is None:
            now = time.monotonic()
            state = Run.objects.filter(pk=run.pk).values_list("state", flat=True).first()
            if state in (None, Run.State.CANCELLED) or now > deadline:
                break  # None: the run was deleted
            if state == Run.State.STOPPING and not asked_at:
                asked_at = now
                process.terminate()
            if asked_at and now > asked_at + STOP_PATIENCE_S:
                break
            journal.take(run)
            if now > beat_at + HEARTBEAT_S:
                beat_at = now
                Run.objects.filter(pk=run.pk).update(heartbeat=timezone.now())
            time.sleep(POLL_S)
    finally:
        engine.end(process)  # also when RQ's timeout or a shutdown ends this job
    return process.returncode


def export(run_id: str) -> None:
    """Make and prove ``model.zip``."""
    run = Run.objects.filter(pk=run_id, export_state=Run.Export.QUEUED).first()
    if run is None:
        return
    error = ""
    try:
        engine.export(run.dir)
    except engine.DataError as reason:
        error = str(reason)
    except engine.EngineError as reason:
        log.error("export of run %s: %s", run_id, reason)
        error = "The model could not be packed. Your run, its curve and its scores are safe; try to pack it again."
        (run.dir / "export.log").write_text(str(reason))
    state = Run.Export.FAILED if error else Run.Export.READY
    Run.objects.filter(pk=run_id, export_state=Run.Export.QUEUED).update(export_state=state, export_error=error)


def predict(prediction_id: str) -> None:
    """New raw data through the packed model."""
    prediction = (
        Prediction.objects.select_related("run").filter(pk=prediction_id, state=Prediction.State.QUEUED).first()
    )
    if prediction is None:
        return
    error = ""
    try:
        engine.predict(prediction.run.dir / "model.zip", prediction.source, prediction.output_path)
    except engine.DataError as reason:
        error = str(reason)
    except engine.EngineError as reason:
        log.error("prediction %s: %s", prediction_id, reason)
        error = "The model could not answer; this is our fault. Your model is safe: try once more, or download it."
    shutil.rmtree(prediction.dir / "input", ignore_errors=True)  # only the answers are kept
    state = Prediction.State.FAILED if error else Prediction.State.READY
    Prediction.objects.filter(pk=prediction_id, state=Prediction.State.QUEUED).update(state=state, error=error)


def reap() -> int:
    """Look after what nobody works on any more; called every 15 s.  Returns how many rows were touched."""
    now = timezone.now()
    silent = now - timedelta(seconds=LOST_AFTER_S)
    quiet = Q(heartbeat__lt=silent) | Q(heartbeat=None, state_since__lt=silent)
    touched = 0
    for run in Run.objects.filter(quiet, state__in=(Run.State.RUNNING, Run.State.STOPPING)):
        touched += _lost(run)
    for run in Run.objects.filter(state=Run.State.QUEUED, state_since__lt=now - timedelta(seconds=UNSTARTED_CHECK_S)):
        if not queue.is_known(run):
            queue.enqueue_train(run)
            touched += 1
    touched += Run.objects.filter(export_state=Run.Export.QUEUED, ended__lt=now - STUCK_AFTER["export"]).update(
        export_state=Run.Export.FAILED,
        export_error="Packing the model took too long and was given up. Your run is safe; try to pack it again.",
    )
    touched += Prediction.objects.filter(
        state=Prediction.State.QUEUED, created__lt=now - STUCK_AFTER["predict"]
    ).update(state=Prediction.State.FAILED, error="No worker answered in ten minutes. Your model is safe: try again.")
    return touched


def _lost(run: Run) -> bool:
    """The worker of this run is silent: try once more, or finish with what was scored."""
    mine = Run.objects.filter(pk=run.pk, state=run.state, heartbeat=run.heartbeat)
    retry = run.state == Run.State.RUNNING and run.tries < MAX_TRIES
    now = timezone.now()
    if retry:
        won = mine.update(
            state=Run.State.QUEUED,
            state_since=now,
            heartbeat=None,
            error="The worker of this run was lost (a crash or a restart of the machine), so it starts once more, "
            "with a new clock. What was scored before is kept.",
        )
    else:
        won = mine.update(heartbeat=now)  # ours to finish
    if not won:
        return False
    engine.end_stray(run.dir)
    journal.take(run)
    if retry:
        journal.put_aside(run)
        queue.enqueue_train(run)
    else:
        ending.settle(run, None, "The worker of this run was lost.")
    return True
