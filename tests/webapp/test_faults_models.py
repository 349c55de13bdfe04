"""Models that misbehave on a site: submissions to the challenge, which an administrator imports and a run uses.

Asserted: what the page says in the end, that nothing scored is lost, who pays, what Status lists, and that no process
is left.
"""

from __future__ import annotations

import io
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from formatters.base import Options
from formatters.convert import convert
from tests.formatters.toys import TOYS
from tests.webapp.faults import MARGIN_S, Site, page, scored, start_run, wait_for
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.models import Fault
from webapp.portfolio import imports
from webapp.portfolio.models import PortfolioRow
from webapp.runs import words
from webapp.runs.models import Run

BUDGET_S = 40
LONG_S = 300
"""Of runs that end by themselves, or at a limit that is reached slowly on a busy machine."""
MEMORY_BYTES = 2 * 2**30
WORKERS = 3
LOG_BYTES = 2**28
"""What may be printed until the engine looks at the log again and empties it, and so be left at the end."""
CODE = """
import os, signal, threading, time
import numpy as np


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def print_for_ever():
    while True:
        print("x" * 2**16)


def fork():
    while True:
        os.fork() or time.sleep(600)


def leave_a_process_and_a_thread():
    if not os.fork():
        os.setsid()
        hang()
    threading.Thread(target=time.sleep, args=(600,)).start()


def hog():
    held = []
    while True:
        held.append(np.ones(10_000_000))
        time.sleep(0.05)


class Model:
    def __init__(self, metadata):
        self.classes, self.step, self.done_training = metadata.get_output_size(), -1, False

    def train(self, dataset, remaining_time_budget=None):
        self.step += 1
        if self.step == {at}:
            {train}
        self.done_training = self.step == 1

    def test(self, dataset, remaining_time_budget=None):
        found = np.ones((sum(1 for _ in dataset), self.classes))
        return {test} if self.step == {at} else found
"""


@dataclass
class Case:
    """What a model does, in its second step unless told otherwise, and how its run ends."""

    ends: str
    told: str
    train: str = "pass"
    test: str = "found"
    at: int = 1
    charged: bool = True
    points: int = 1
    fault: str = ""

    @property
    def budget_s(self) -> int:
        return BUDGET_S if self.told in (OVER, NEVER) else LONG_S

    @property
    def code(self) -> str:
        return CODE.format(at=self.at, train=self.train, test=self.test)


OVER = f"The training time of {words.duration(BUDGET_S)} is over."
ENDED = "the model has nothing more to learn"
FAILED, MEMORY = "The engine of a run failed.", "The engine ran out of memory"
NEVER = f"There was no prediction within {words.duration(BUDGET_S)}. The run does not count"
SHAPE = "must return an array of shape"
TOO_LARGE = "more than 2 GB of memory, the limit here; split it or give less of it. Your data is safe; the run does not"
CASES = {
    "hangs": Case("finished", OVER, train="hang()"),
    "hangs-first": Case("failed", NEVER, train="hang()", at=0, charged=False, points=0),
    "prints": Case("finished", OVER, train="print_for_ever()"),
    "nan": Case("finished", ENDED, test="found * np.nan", points=2),
    "shapes": Case("failed", SHAPE, test="found[:, :1]", charged=False, fault=FAILED),
    "shapes-first": Case("failed", SHAPE, test="found[1:]", at=0, charged=False, points=0, fault=FAILED),
    "forks": Case("failed", TOO_LARGE, train="fork()", charged=False, fault=MEMORY),  # each counts what it shares
    "forks-first": Case("failed", TOO_LARGE, train="fork()", at=0, charged=False, points=0, fault=MEMORY),
    "leaves": Case("finished", ENDED, train="leave_a_process_and_a_thread()", points=2),
    "hogs": Case("failed", TOO_LARGE, train="hog()", charged=False, fault=MEMORY),
    "hogs-first": Case("failed", TOO_LARGE, train="hog()", at=0, charged=False, points=0, fault=MEMORY),
}


@pytest.fixture
def memory_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for before ``site``: the waiting engine starts with it, too."""
    monkeypatch.setenv("AUTODL_MAX_ENGINE_MEMORY_BYTES", str(MEMORY_BYTES))


@pytest.fixture
def dataset(site: Site, owner: User, make_dataset: Any, tmp_path: Path) -> Dataset:
    dataset = make_dataset(owner, "tabular", state="queued")
    convert(TOYS["tabular"](tmp_path / "toy"), dataset.autodl_dir, Options(name="toy"), say=lambda line: None)
    Dataset.objects.update(state="ready")
    dataset.refresh_from_db()
    return dataset


def submission(name: str, case: Case, by: User) -> PortfolioRow:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.py", case.code)
    row = PortfolioRow(name=name, modality="tabular")
    return imports.code(row, SimpleUploadedFile(f"{name}.zip", file.getvalue()), by)


@pytest.mark.long
def test_models_that_misbehave(
    memory_limit: None, site: Site, dataset: Dataset, administrator: User, owner_client: Client
) -> None:
    """Each in a run of its own, three at a time."""
    runs = {}
    for number, (name, case) in enumerate(CASES.items(), 1):
        submission(name, case, administrator)
        runs[name] = start_run(dataset, number, case.budget_s, model=name)
    for _ in range(WORKERS):
        site.start("manage.py", "worker", "train")
    wait_for(site.is_training, 3 * MARGIN_S, "a training process")
    begun = time.monotonic()
    limit_s = len(runs) * (BUDGET_S + 2 * MARGIN_S) / WORKERS
    wait_for(lambda: not Run.objects.filter(state__in=Run.OPEN).exists(), limit_s, "the end of all")
    print(f"{len(runs)} runs of models that misbehave ended within {time.monotonic() - begun:.0f} s")
    for name, case in CASES.items():
        runs[name].refresh_from_db()
        check(name, case, runs[name], owner_client)
    faults = sorted(fault.what for fault in Fault.objects.exclude(what__startswith="Lost"))  # the reaper sends the runs
    expected = sorted(case.fault for case in CASES.values() if case.fault)
    assert len(faults) == len(expected)
    assert all(map(str.startswith, faults, expected)), faults
    status = owner_client.get("/status").content.decode()
    assert FAILED in status
    assert MEMORY in status
    wait_for(lambda: not site.is_training(), 5, "no process is left")


def check(name: str, case: Case, run: Run, client: Client) -> None:
    shown = page(client, run)
    assert (name, run.state, run.charged, run.tries) == (name, case.ends, case.charged, 1), run.error
    assert (name, run.points.count(), scored(run)) == (name, case.points, case.points)
    assert case.told in shown, (name, run.error, run.reason)
    assert ("Your data is not the cause" in shown) == (case.fault == FAILED), name
    assert sum(path.stat().st_size for path in run.dir.glob("*.log")) < LOG_BYTES, name
