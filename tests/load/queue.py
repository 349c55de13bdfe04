"""Many runs wait, and what works on them is killed in between."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from tests.load.site import Site, make_dataset, make_users, page_times, session_of, tell_pages, used_s, wait_for

USERS, QUEUED, SMALL_SHARE, WORKERS = 20, 1000, 30, 2
LIMIT_S, MEASURED_S = 1500, 20


def queue(site: Site) -> None:
    from webapp.runs.models import Run

    users = make_users(USERS)
    datasets = [make_dataset(user) for user in users]
    shares = [QUEUED - SMALL_SHARE * (USERS - 1), *[SMALL_SHARE] * (USERS - 1)]
    begun = time.monotonic()
    enqueue(datasets, shares)
    site.tell("sending a run to the queue", 1000 * (time.monotonic() - begun) / QUEUED, "ms")
    cookie = session_of(users[1])
    site.start_web()
    pages = [
        ("/", cookie),
        ("/status", ""),
        (f"/data/{datasets[1].pk}", cookie),
        (Run.objects.earliest("created").get_absolute_url(), ""),
    ]
    tell_pages(site, f"with {QUEUED} waiting runs", page_times(site, pages, MEASURED_S), 150)
    site.kill("web")
    begun = time.monotonic()
    start_workers(site)
    ended = Run.objects.exclude(state__in=Run.OPEN)
    wait_for(lambda: ended.count() > QUEUED / 3, LIMIT_S)
    site.kill("reaper", "redis", *(f"worker{number}" for number in range(WORKERS)))
    site.start_redis()
    left = QUEUED - ended.count()
    start_workers(site)
    wait_for(lambda: ended.count() == QUEUED, LIMIT_S)
    for name, of in {"workers": [f"worker{number}" for number in range(WORKERS)], "Redis": ["redis"]}.items():
        seconds = sum(used_s(psutil.Process(site.started[process].pid)) for process in of)
        site.tell(f"processor time of {name} a run", 1000 * seconds / left, "ms")
    site.tell("a run through the queue with a stub for the engine", 1000 * (time.monotonic() - begun) / QUEUED, "ms")
    site.tell("runs that ended well", Run.objects.filter(state="finished", error="").count(), "runs")
    site.tell("runs started twice", Run.objects.filter(tries__gt=1).count(), "runs", WORKERS)
    order = list(Run.objects.order_by("started").values_list("owner_id", flat=True))
    small = [position for position, owner in enumerate(order, 1) if owner != users[0].pk]
    site.tell("place of the last start of those with few runs", small[-1], "of 1000", USERS * SMALL_SHARE + 2 * WORKERS)
    site.tell("largest lead of an owner while others wait", lead(order[: USERS * SMALL_SHARE]), "runs", 1 + WORKERS)


def enqueue(datasets: list[Any], shares: list[int]) -> None:
    from webapp.runs import queue as sending
    from webapp.runs.models import Run

    for dataset, share in zip(datasets, shares, strict=True):
        for number in range(1, share + 1):
            run = Run.objects.create(dataset=dataset, owner=dataset.owner, number=number, budget_s=20, public=True)
            sending.enqueue_train(run)


def start_workers(site: Site) -> None:
    for number in range(WORKERS):
        site.start(f"worker{number}", sys.executable, "-m", "tests.load.queue")
    site.start("reaper", sys.executable, "manage.py", "reaper")


def lead(order: list[int]) -> int:
    """The most starts by which one owner is ahead of another at any time."""
    counts = Counter(dict.fromkeys(order, 0))
    most = 0
    for owner in order:
        counts[owner] += 1
        most = max(most, max(counts.values()) - min(counts.values()))
    return most


def work() -> None:
    """A training worker whose engine writes a journal and ends."""
    import django

    django.setup()
    from django.core.management import call_command

    from automl_engine.files import write_json
    from tests.webapp import toys
    from webapp import engine

    def start_run(data_dir: Path, run_dir: Path, **_: Any) -> subprocess.Popen[bytes]:
        toys.write_run(run_dir, json.loads((data_dir / "report.json").read_text()))
        write_json(
            run_dir / "scores.json", {"alc": 0.8, "nauc": 1.0, "accuracy": 1.0, "stopped": "done", "reason": "stub"}
        )
        return subprocess.Popen(["true"])

    engine.start_run = start_run  # type: ignore[assignment]
    call_command("worker", "train")


if __name__ == "__main__":
    work()
