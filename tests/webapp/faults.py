"""A site for tests of faults: a real queue, real workers and engines, the real reaper; and what is asked of it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis
from django.test import Client
from rq.job import Job
from rq.serializers import JSONSerializer

from automl_engine.run import events
from webapp.database import patiently
from webapp.datasets.models import Dataset
from webapp.ops import processes
from webapp.runs.models import Run

ROOT = Path(__file__).resolve().parents[2]
NOTICED_S = 20
MARGIN_S = 60
"""What a busy machine may take for what is no matter of seconds: the start of an engine, say."""


class Site:
    """Workers for training, the waiting engine and the reaper, on the test's database, Redis and files."""

    def __init__(self, data_dir: Path) -> None:
        """Database and Redis are those of the fixture ``servers``."""
        self.mark = f"faults-{secrets.token_hex(4)}"
        self.redis = redis.Redis.from_url(os.environ["REDIS_URL"])
        self.socket, self.log = data_dir / "engine0.sock", open(data_dir / "site.log", "ab")  # noqa: SIM115
        self.environment = os.environ | {
            "DATA_DIR": str(data_dir),
            "WARM_ENGINE": str(self.socket),
            "CUDA_VISIBLE_DEVICES": "",
            processes.MARK: self.mark,
        }

    def start(self, *command: str) -> None:
        """A process in a session of its own, as the supervisor of the site starts it."""
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def worker_of(self, run: Run) -> psutil.Process:
        job = Job.fetch(run.job_id, connection=self.redis, serializer=JSONSerializer)
        return psutil.Process(int(str(job.worker_name).split(".")[-2]))

    def is_training(self) -> bool:
        """Whether any process of a run is left."""
        found = []
        for process in processes.marked(self.mark):
            with suppress(psutil.NoSuchProcess):
                found += process.cmdline()
        return any("ingestion" in word for word in found)

    def stop(self) -> None:
        processes.end(processes.marked(self.mark), 1)
        self.log.close()


def wait_for(condition: Callable[[], Any], limit_s: float, what: str) -> None:
    begun = time.monotonic()
    while not patiently(condition):
        assert time.monotonic() - begun < limit_s, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


def start_run(dataset: Dataset, number: int, budget_s: int = 600, model: str = "auto") -> Run:
    """The reaper sends it, as it does with every run that Redis does not know."""
    run = patiently(
        lambda: Run.objects.create(
            dataset=dataset, owner=dataset.owner, number=number, budget_s=budget_s, seed=number, model=model
        )
    )
    patiently(lambda: Run.objects.filter(pk=run.pk).update(state_since="2026-01-01T00:00Z"))
    return run


def scored(run: Run) -> int:
    return sum(event["event"] == "score" for event in events.read(run.dir / "events.jsonl")[0])


def family(run: Run) -> list[psutil.Process]:
    """The engine's processes: a watcher, the supervisor, its watcher, the training process."""
    first = psutil.Process(int((run.dir / "engine.pid").read_text().split()[0]))
    return [first, *first.children(recursive=True)]


def freeze_after_first_scores(runs: list[Run]) -> list[list[psutil.Process]]:
    """Stop the training processes, so that the runs stay as they are; returns the family of each."""
    found: dict[str, list[psutil.Process]] = {}

    def freeze() -> bool:
        for run in runs:
            if run.pk not in found and scored(run):
                found[run.pk] = family(run)
                found[run.pk][-1].suspend()
        return len(found) == len(runs)

    wait_for(freeze, MARGIN_S, "a score of each run")
    for run in runs:
        run.refresh_from_db()
    return [found[run.pk] for run in runs]


def frozen_run(site: Site, dataset: Dataset) -> tuple[Run, list[psutil.Process]]:
    """A run of 10 s whose training process is stopped after its first scores, and its family."""
    site.start("manage.py", "worker", "train")
    wait_for(site.socket.exists, MARGIN_S, "the waiting engine")
    run = start_run(dataset, 1, budget_s=10)
    (members,) = freeze_after_first_scores([run])
    return run, members


def page(client: Client, run: Run) -> str:
    return client.get(f"/runs/{run.pk}").content.decode()
