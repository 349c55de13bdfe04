"""Why a model gave its answer: for test items that somebody asks about, and for single new inputs.

The files are made when they are asked for, and may be deleted at any time: ``RUN/why/INDEX/why.json`` and ``why.json``
beside a prediction (docs/formats.md).
"""

from __future__ import annotations

import csv
import logging
from itertools import islice
from pathlib import Path

from webapp import engine, store
from webapp.accounts.models import User
from webapp.database import patiently
from webapp.datasets.storage import measure_run, remove
from webapp.ops import queues
from webapp.runs import queue
from webapp.runs.models import Prediction, Run

log = logging.getLogger(__name__)
NOT_EXPLAINED = "The answer could not be explained because of this server. Try again later."


def path(run: Run, index: int) -> Path:
    """The explanation of a test item."""
    return store.fetch(_folder(run, index), fresh_s=0) / "why.json"


def _folder(run: Run, index: int) -> Path:
    return run.folder / "why" / str(index)


def ask(run: Run, index: int, user: User) -> None:
    """Enqueue it for a test item, unless it is there or on its way."""
    failed = "error" in (engine.read_json(path(run, index)) or {})
    if (failed or not path(run, index).exists()) and not queues.is_alive(queue.why_job(run.pk, index)):
        remove(_folder(run, index))
        queue.enqueue_why(run, index, user)


def explain(item: str) -> None:
    """The job of a test item, ``RUN-INDEX``."""
    run_id, _, index = item.rpartition("-")
    rows = Run.objects.filter(pk=run_id)
    run = patiently(rows.select_related("dataset").first)
    if run is None:
        return
    model, out = run.model_path, _folder(run, int(index)) / "why.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    should_stop = queues.stop_unless(rows.exists, queue.WHY_LIMIT_S)
    error = ""
    try:
        engine.explain(model, run.dataset.autodl_dir, out, should_stop, test_index=int(index))
    except engine.DataError as reason:
        error = str(reason)
    except (engine.EngineError, engine.Stopped, OSError) as reason:
        log.error("explaining item %s: %s", item, reason)
        error = NOT_EXPLAINED
    if error and out.parent.exists():
        engine.write_json(out, {"error": error})
    if rows.exists():
        store.push(out.parent)
    patiently(lambda: measure_run(run_id))


def explain_new(prediction: Prediction) -> None:
    """The answer to a single input; the page does without where that fails."""
    with open(prediction.output_path, newline="", encoding="utf-8") as file:
        if len(list(islice(csv.reader(file), 3))) != 2:  # the head, and one answer
            return
    rows = Prediction.objects.filter(pk=prediction.pk)
    should_stop = queues.stop_unless(rows.exists, queue.WHY_LIMIT_S)
    try:
        engine.explain(prediction.run.model_path, prediction.source, prediction.why_path, should_stop)
    except (engine.DataError, engine.EngineError, engine.Stopped, OSError) as reason:
        log.error("explaining prediction %s: %s", prediction.pk, reason)
