"""A child process ends soon after its row was deleted or its time is up, with all that it started."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection

from webapp import engine
from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.datasets.models import Dataset
from webapp.ops import processes, queues
from webapp.runs import jobs, queue
from webapp.runs.models import Prediction, Run

SOON_S = 5
HANGS = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}")
while True:
    print("working", flush=True)
    time.sleep(0.01)
"""


@pytest.fixture
def pids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Instead of any child process one that hangs and ignores SIGTERM; the file with its process ids."""
    path = tmp_path / "pids"
    monkeypatch.setattr(engine, "_python", lambda command: [sys.executable, "-c", HANGS, str(path)])
    monkeypatch.setattr(engine.confined, "wrap", lambda command, read, write: command)  # it writes that file
    return path


def _once_it_runs(pids: Path, act: Callable[[], Any], acted: list[float]) -> threading.Thread:
    def wait_and_act() -> None:
        while not (pids.exists() and pids.read_text().count(" ")):
            time.sleep(0.02)
        acted.append(time.monotonic())
        act()
        connection.close()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread


def _all_ended(pids: Path) -> bool:
    if not pids.exists():
        return True  # stopped before it could say
    found = [int(pid) for pid in pids.read_text().split() if psutil.pid_exists(int(pid))]
    return not [pid for pid in found if processes.is_alive(psutil.Process(pid))]


def _jobs(
    dataset: Dataset, run: Run, prediction: Prediction
) -> dict[str, tuple[Callable[[], None], Callable[[], Any]]]:
    """The work, and what makes it useless."""
    return {
        "convert": (lambda: conversion.convert(dataset.pk), dataset.delete),
        "pack": (lambda: jobs.export(run.pk), run.delete),
        "predict": (lambda: jobs.predict(prediction.pk), prediction.delete),
        "compare": (lambda: jobs.compare(run.dataset_id), run.dataset.delete),
        "account": (lambda: conversion.convert(dataset.pk), dataset.owner.delete),
    }


@pytest.mark.parametrize("what", ["convert", "pack", "predict", "compare", "account"])
def test_what_was_deleted_is_not_worked_on(
    what: str, database_file: Path, pids: Path, owner: User, make_dataset: Any, make_run: Any, caplog: Any
) -> None:
    dataset = make_dataset(owner, state="queued", modality="")
    run = make_run(make_dataset(owner), export_state="queued")
    prediction = Prediction.objects.create(owner=owner, run=run, input_name="x.png")
    (prediction.dir / "input").mkdir(parents=True)
    work, delete = _jobs(dataset, run, prediction)[what]
    folder = {"pack": run.dir, "predict": prediction.dir, "compare": run.dataset.dir}.get(what, dataset.dir)
    acted: list[float] = []
    thread = _once_it_runs(pids, delete, acted)
    work()
    taken_s = time.monotonic() - acted[0]
    thread.join()
    assert taken_s < SOON_S
    assert _all_ended(pids)
    assert not folder.exists()
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_what_takes_too_long_is_stopped_and_that_is_told(
    database_file: Path, pids: Path, owner: User, make_dataset: Any, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "LIMIT_S", 1)
    monkeypatch.setattr(queue, "EXPORT_LIMIT_S", 1)
    dataset = make_dataset(owner, state="queued", modality="")
    run = make_run(make_dataset(owner), export_state="queued")
    for work in (lambda: conversion.convert(dataset.pk), lambda: jobs.export(run.pk)):
        begun = time.monotonic()
        work()
        assert time.monotonic() - begun < 1 + SOON_S
        assert _all_ended(pids)
    dataset.refresh_from_db()
    run.refresh_from_db()
    assert (dataset.state, dataset.error) == ("failed", conversion.TOO_LONG)
    assert [path.name for path in dataset.dir.iterdir()] == ["raw"]
    assert (run.export_state, run.export_error) == ("failed", jobs.NOT_PACKED)


def test_a_locked_database_stops_nothing_and_hides_no_deadline(lock_database: Callable[[float], None]) -> None:
    lock_database(4.5)
    begun = time.monotonic()
    should_stop = queues.stop_unless(lambda: User.objects.update(first_name="Ada"), 1.5)
    assert not should_stop()
    while not should_stop():
        time.sleep(0.1)
    assert 1.5 <= time.monotonic() - begun < 4
