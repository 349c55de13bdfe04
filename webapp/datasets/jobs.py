"""Conversion in the worker.  The Dataset row is the truth; a job carries its id and may be lost or come twice."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import django_rq
from django.db import connection, transaction
from django.utils import timezone
from rq.timeouts import JobTimeoutException

from webapp import engine
from webapp.database import patiently
from webapp.datasets.models import Dataset
from webapp.datasets.storage import directory_bytes

log = logging.getLogger(__name__)
State = Dataset.State

TIMEOUT_S = 30 * 60
BEAT_S = 10.0
LOST_AFTER = timedelta(seconds=60)
TRIES = 2
OUR_FAULT = (
    "The conversion failed because of a fault on our side, not in your data. Your upload is safe: "
    "press “Try again”, and tell the administrator if it happens again."
)
TOO_LONG = (
    f"The conversion took longer than {TIMEOUT_S // 60} minutes and was stopped. Your upload is safe: send fewer or "
    "smaller files, or ask the administrator for more time."
)


def enqueue(dataset: Dataset) -> None:
    """Queue the conversion of a row in state QUEUED (sent when the transaction commits)."""
    queue = django_rq.get_queue("work")
    job_id = _job_id(dataset.id, dataset.tries + 1)
    queue.enqueue("webapp.datasets.jobs.convert", dataset.id, job_id=job_id, job_timeout=TIMEOUT_S)


def _job_id(dataset_id: str, number: int) -> str:
    return f"convert-{dataset_id}-{number}"


def convert_again(dataset: Dataset, options: dict[str, Any]) -> bool:
    """Queue the conversion of a settled data set with other options; False when it is under way already."""
    with transaction.atomic():
        settled = Dataset.objects.filter(id=dataset.id, state__in=(State.READY, State.FAILED), runs=None)
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
    dataset = queued.first()
    if dataset is None or not queued.update(
        state=State.CONVERTING,
        state_since=timezone.now(),
        heartbeat=timezone.now(),
        tries=dataset.tries + 1,
        progress="unpacking",
        error="",
    ):
        return  # deleted, or another job has it
    dataset.tries += 1
    fresh = dataset.dir / f"autodl.try{dataset.tries}"  # a formatter that outlived its worker writes elsewhere
    try:
        with _heartbeat(dataset_id):
            _convert_into(fresh, dataset)
    except engine.LabelQuestion as question:
        _settle(dataset, state=State.FAILED, error=str(question), question=question.asked, progress="")
    except engine.DataError as error:
        _settle(dataset, state=State.FAILED, error=str(error), progress="")
    except JobTimeoutException:
        _settle(dataset, state=State.FAILED, error=TOO_LONG, progress="")
    except (engine.EngineError, OSError) as error:
        log.error("conversion of %s failed: %s", dataset_id, error)
        _once_more(dataset, "Something broke on our side; trying again.")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # gone already after success
        if not Dataset.objects.filter(id=dataset_id).exists():  # deleted meanwhile
            shutil.rmtree(dataset.dir, ignore_errors=True)


def _convert_into(fresh: Path, dataset: Dataset) -> None:
    for leftover in (*dataset.dir.glob("autodl.try*"), *dataset.dir.glob("autodl.old")):
        shutil.rmtree(leftover, ignore_errors=True)
    engine.convert(dataset.raw_path, fresh, dataset.options, lambda line: _say(dataset.id, line))
    report = engine.read_json(fresh / "report.json")
    if report is None:
        raise engine.EngineError("the formatter ended well but left no report.json")
    _replace(dataset.autodl_dir, fresh)
    _settle(
        dataset,
        state=State.READY,
        progress="",
        modality=report["modality"],
        title=report["title"][:200],
        sample_count=report["counts"]["samples"],
        class_count=report["counts"]["classes"],
        size_bytes=directory_bytes(dataset.dir),
    )


def _replace(target: Path, fresh: Path) -> None:
    """Put ``fresh`` in the place of ``target`` by renames: a reader sees the old or the new one, never a mixture."""
    old = target.with_name("autodl.old")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _settle(dataset: Dataset, **fields: Any) -> None:
    """Leave CONVERTING, unless the reaper has taken the row away from this try."""
    now = timezone.now()
    mine = Dataset.objects.filter(id=dataset.id, state=State.CONVERTING, tries=dataset.tries)
    if not patiently(lambda: mine.update(state_since=now, heartbeat=None, **fields)):
        log.warning("conversion of %s (try %d) came too late", dataset.id, dataset.tries)


def _once_more(dataset: Dataset, note: str) -> None:
    """Retry once, then give up and say whose fault it was."""
    if dataset.tries >= TRIES:
        _settle(dataset, state=State.FAILED, error=OUR_FAULT, progress="")
    else:
        _settle(dataset, state=State.QUEUED, progress=f"{note} (try {dataset.tries + 1})")
        enqueue(dataset)


def _say(dataset_id: str, line: str) -> None:
    if line:
        dataset = Dataset.objects.filter(id=dataset_id)
        patiently(lambda: dataset.update(progress=line[:200], heartbeat=timezone.now()))


@contextmanager
def _heartbeat(dataset_id: str) -> Iterator[None]:
    """Touch the row while the engine is silent, so that the reaper can tell a slow worker from a lost one."""
    done = threading.Event()
    converting = Dataset.objects.filter(id=dataset_id, state=State.CONVERTING)

    def beat() -> None:
        while not done.wait(BEAT_S):
            patiently(lambda: converting.update(heartbeat=timezone.now()))
        connection.close()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def reap() -> int:
    """Every 15 s: retry what a dead worker left behind, requeue what Redis forgot, drop expired uploads.

    Returns how many had lost their worker.
    """
    from webapp.datasets.uploads import delete_expired
    from webapp.runs.queue import is_alive

    long_ago = timezone.now() - LOST_AFTER
    silent = Dataset.objects.filter(state=State.CONVERTING, heartbeat__lt=long_ago)
    lost = [dataset for dataset in silent if not is_alive(_job_id(dataset.id, dataset.tries))]
    for dataset in lost:
        _once_more(dataset, "The worker was lost; trying again.")
    waiting = Dataset.objects.filter(state=State.QUEUED, state_since__lt=long_ago)
    if waiting.exists():
        queue = django_rq.get_queue("work")
        known = {job.args[0] for job in queue.get_jobs() if job.func_name == "webapp.datasets.jobs.convert"}
        for dataset in waiting.exclude(id__in=known):
            enqueue(dataset)  # harmless if the job still comes: only one can take the row
    delete_expired()
    return len(lost)
