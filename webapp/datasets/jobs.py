"""Conversion in the worker.  The Dataset row is the truth; a job carries its id and may be lost or come twice."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from automl_engine.files import replace_folder
from webapp import engine, store
from webapp.database import briefly, patiently
from webapp.datasets import fetch
from webapp.datasets.models import Dataset, Upload
from webapp.datasets.report import majority_accuracy
from webapp.datasets.storage import measure_versions, remove
from webapp.ops import queues, starter_runs
from webapp.ops.health import probes
from webapp.ops.models import Fault

log = logging.getLogger(__name__)
State = Dataset.State

LIMIT_S = 30 * 60
TRIES = 2
OUR_FAULT = (
    "The conversion failed because of a fault on our side, not in your data. Your upload is safe: "
    "press “Try again”, and tell the administrator if it happens again."
)
NO_ROOM = (
    f"{probes.DISK_FULL}, so the data could not be converted. Your upload is safe: tell the administrator, and press "
    "“Try again” once there is room."
)
TOO_LONG = (
    f"The conversion took longer than {LIMIT_S // 60} minutes and was stopped. Your upload is safe: send fewer or "
    "smaller files, or ask the administrator for more time."
)


def enqueue(dataset: Dataset) -> None:
    """Queue the conversion of a row in state QUEUED (sent when the transaction commits)."""
    starter_runs.give_way()
    job_id = _job_id(dataset.id, dataset.tries + 1)
    queues.send("convert", dataset.owner, "webapp.datasets.jobs.convert", dataset.id, job_id=job_id, limit_s=LIMIT_S)


def hand_over(dataset: Dataset) -> None:
    """A waiting conversion has its turn as the data set's new owner's."""
    queues.hand_over("convert", _job_id(dataset.id, dataset.tries + 1), dataset.owner)


def _job_id(dataset_id: str, number: int) -> str:
    return f"convert-{dataset_id}-{number}"


def convert_again(dataset: Dataset, options: dict[str, Any]) -> bool:
    """Queue the conversion of a settled data set with other options; False when it is under way already."""
    with transaction.atomic():
        nothing_on_it = {"runs": None, "challenges": None}
        settled = Dataset.objects.filter(id=dataset.id, state__in=(State.READY, State.FAILED), **nothing_on_it)
        fields = {"state": State.QUEUED, "state_since": timezone.now(), "options": options, "tries": 0}
        fields |= {"error": "", "question": {}}
        dataset.tries = 0
        if not Dataset.objects.filter(id__in=settled.values("id")).update(progress="", **fields):
            return False
        enqueue(dataset)
    return True


def convert(dataset_id: str) -> None:
    """Raw upload -> AutoDL data set, or a sentence why not."""
    queued = Dataset.objects.filter(id=dataset_id, state=State.QUEUED)
    dataset = patiently(queued.select_related("owner").first)
    if dataset is None:
        return
    dataset.tries += 1
    now = timezone.now()
    fields = {"state_since": now, "heartbeat": now, "tries": dataset.tries, "progress": "unpacking", "error": ""}
    if not patiently(lambda: queued.update(state=State.CONVERTING, **fields)):
        return  # deleted, or another job has it
    fresh = dataset.dir / f"autodl.try{dataset.tries}"  # a formatter that outlived its worker writes elsewhere
    try:
        _convert_into(fresh, dataset)
    except engine.Question as question:
        _settle(dataset, state=State.FAILED, error=str(question), question=question.asked, progress="")
    except engine.DataError as error:
        _settle(dataset, state=State.FAILED, error=str(error), progress="")
    except engine.Stopped:  # where the row is gone, nothing is written
        _settle(dataset, state=State.FAILED, error=TOO_LONG, progress="")
    except (engine.EngineError, OSError) as error:
        log.error("conversion of %s failed: %s", dataset_id, error)
        if probes.is_disk_full(error):
            _fail_for_us(dataset, NO_ROOM)
        else:
            _once_more(dataset, "Something broke on our side; trying again.")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # gone already after success
        if not patiently(Dataset.objects.filter(id=dataset_id).exists):  # deleted meanwhile
            remove(dataset.dir)


def _convert_into(fresh: Path, dataset: Dataset) -> None:
    for leftover in (*dataset.dir.glob("autodl.try*"), *dataset.dir.glob("autodl.old")):
        shutil.rmtree(leftover, ignore_errors=True)
    should_stop = queues.stop_unless(lambda: _mine(dataset).update(heartbeat=timezone.now()), LIMIT_S)
    if dataset.source_url and not dataset.raw_path.exists():
        _fetch(dataset, should_stop)
        store.push(dataset.dir / "raw")
    options = dataset.options | {"more": dataset.more_paths}
    engine.convert(dataset.raw_path, fresh, options, lambda line: _say(dataset, line), should_stop)
    report = engine.read_json(fresh / "report.json")
    if report is None:
        raise engine.EngineError("the formatter ended well but left no report.json")
    replace_folder(fresh, dataset.dir / "autodl")
    store.push(dataset.dir / "autodl")
    patiently(lambda: measure_versions(dataset))
    _settle(
        dataset,
        state=State.READY,
        progress="",
        modality=report["modality"],
        title=report["title"][:200],
        sample_count=report["counts"]["samples"],
        class_count=report["counts"]["classes"],
        majority_accuracy=majority_accuracy(report),
    )


def _fetch(dataset: Dataset, should_stop: Callable[[], bool]) -> None:
    """Get the raw data from its address; its row promises the space meanwhile."""
    about: dict[str, Any] = {"size_bytes": 0}
    patiently(lambda: _mine(dataset).update(**about))  # what a lost try had promised
    try:
        fetch.fetch(
            dataset,
            lambda line, size_bytes: briefly(lambda: _mine(dataset).update(progress=line, size_bytes=size_bytes), 0),
            should_stop,
        )
        about = {"raw_name": dataset.raw_name, "name": dataset.raw_path.stem[:100]}
        about["size_bytes"] = dataset.raw_path.stat().st_size
    finally:
        patiently(lambda: _mine(dataset).update(**about))


def _mine(dataset: Dataset) -> QuerySet[Dataset]:
    """The row, unless it was deleted or the reaper has taken it away from this try."""
    return Dataset.objects.filter(id=dataset.id, state=State.CONVERTING, tries=dataset.tries)


def _settle(dataset: Dataset, **fields: Any) -> bool:
    """Leave CONVERTING; False if the row is not ours any more."""
    now = timezone.now()
    settled = patiently(lambda: _mine(dataset).update(state_since=now, heartbeat=None, **fields))
    if not settled:
        log.info("conversion of %s (try %d) came too late", dataset.id, dataset.tries)
    return bool(settled)


def _once_more(dataset: Dataset, note: str) -> None:
    """Retry once, then give up and say whose fault it was."""
    if dataset.tries >= TRIES:
        _fail_for_us(dataset, OUR_FAULT)
    elif _settle(dataset, state=State.QUEUED, progress=f"{note} (try {dataset.tries + 1})"):
        enqueue(dataset)


def _fail_for_us(dataset: Dataset, sentence: str) -> None:
    if _settle(dataset, state=State.FAILED, error=sentence, progress=""):
        what = f"{probes.DISK_FULL}: a conversion failed." if sentence == NO_ROOM else "A conversion failed."
        patiently(lambda: Fault.objects.create(what=what, done="The upload is kept, and its owner can try again."))


def _say(dataset: Dataset, line: str) -> None:
    if line:
        briefly(lambda: _mine(dataset).update(progress=line[:200], heartbeat=timezone.now()), 0)


def reap() -> int:
    """Every 5 s: retry what a dead worker left behind, requeue what Redis forgot, drop expired uploads.

    Returns how many had lost their worker.
    """
    long_ago = timezone.now() - queues.LOST_AFTER
    rows = Dataset.objects.select_related("owner")
    silent = rows.filter(state=State.CONVERTING, heartbeat__lt=long_ago)
    lost = [dataset for dataset in silent if not queues.is_alive(_job_id(dataset.id, dataset.tries))]
    for dataset in lost:
        _once_more(dataset, "The worker was lost; trying again.")
    for dataset in rows.filter(state=State.QUEUED, state_since__lt=long_ago):
        if not queues.is_alive(_job_id(dataset.id, dataset.tries + 1)):
            enqueue(dataset)  # harmless if the job still comes: only one can take the row
    Upload.objects.filter(expires__lt=timezone.now()).delete()  # their files go with the rows
    return len(lost)
