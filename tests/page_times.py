"""Server time and queries of each page for an owner of many runs, without a network between: figures as CSV.

    python -m tests.page_times [--runs 10000] [--datasets 500] [--write]

Ends with 1 when the 95th percentile of 20 requests of a page is 100 ms (150 ms beyond 10,000 runs) or more, or when it
asks the database more than 15 times.  ``--write`` adds the figures to docs/results/page_times.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.test import Client

    from webapp.accounts.models import User
    from webapp.runs.models import Run

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "page_times.csv"
COLUMNS = ("date", "runs", "data sets", "page", "queries", "median ms", "p95 ms", "processor ms")
WARM_UP, REQUESTS = 3, 20
MOST_QUERIES, MOST_MS, MOST_MS_OF_MORE = 15, 100, 150
POINTS = 8  # of a run's curve
VERSIONS = 40  # of the data set that is looked at
MODELS = ("auto", *(f"configuration-{i}" for i in range(12)))


def fill(run_count: int, dataset_count: int) -> tuple[User, Run]:
    """One owner with everything; every second data set and run is public.  The run that is looked at has files."""
    from django.utils import timezone

    from tests.webapp import toys
    from webapp.accounts.models import User
    from webapp.datasets.models import Dataset
    from webapp.runs.models import Notice, Run

    limits = {"runs_total": 10**6, "runs_per_day": 10**6, "webhook_url": "https://example.org"}
    owner = User.objects.create_user("owner@example.org", "secret", **limits)
    datasets = [_dataset(owner, i) for i in range(dataset_count)]
    shown = datasets[-1]
    shown.public = True
    for number, version in enumerate(datasets[-1 - VERSIONS : -1], 2):
        version.family, version.version, version.change = shown.id, number, "2 samples excluded"
    toys.write_autodl(shown.autodl_dir)
    for starter in datasets[:6]:
        starter.starter = starter.public = True
        toys.write_autodl(starter.autodl_dir)
    Dataset.objects.bulk_create(datasets, batch_size=500)
    runs = [_run(owner, datasets[i % dataset_count], i) for i in range(run_count)]
    for i in range(run_count // 10):  # the data set that is looked at has many
        runs[i].dataset, runs[i].number = shown, run_count + i
    Run.objects.bulk_create(runs, batch_size=500)
    about = {"kind": "webhook", "state": "sent", "due": timezone.now()}
    Notice.objects.bulk_create((Notice(run=run, **about) for run in runs[::10]), batch_size=500)
    _add_points(runs)
    toys.write_run(runs[0].dir, shown.report)
    return owner, runs[0]


def _dataset(owner: User, i: int):  # type: ignore[no-untyped-def]
    from webapp.datasets.models import Dataset

    about = {"state": "ready", "modality": ("image", "tabular", "text")[i % 3], "title": "1,000 samples in 10 classes"}
    about |= {"sample_count": 1000, "class_count": 10, "majority_accuracy": 0.1, "size_bytes": 10**6 + i}
    return Dataset(owner=owner, name=f"set {i}", raw_name="x.zip", public=i % 2 == 0, **about)


def _run(owner: User, dataset, i: int):  # type: ignore[no-untyped-def]
    from django.utils import timezone

    from webapp.runs.models import Run

    now = timezone.now() - timedelta(seconds=i)
    scores = {"alc": 0.5 + i % 97 / 200, "nauc": 0.6 + i % 89 / 250, "accuracy": 0.7, "first_prediction_s": 0.6}
    about = {"state": "queued"} if i % 500 == 1 else {"state": "finished", "started": now, "ended": now, **scores}
    about |= {"budget_s": (20, 60, 300)[i % 3], "public": i % 2 == 0, "model": MODELS[i % len(MODELS)]}
    return Run(owner=owner, dataset=dataset, number=i, size_bytes=10**5 + i, **about)


def _add_points(runs: list[Run]) -> None:
    from webapp.runs.models import ScorePoint

    points = (
        ScorePoint(run=run, k=k, t=k + 1, nauc=k / POINTS, accuracy=0.5, alc=0.4, by=run.model)
        for run in runs
        if run.state == "finished"
        for k in range(POINTS)
    )
    while some := list(islice(points, 10_000)):
        ScorePoint.objects.bulk_create(some)


def pages(run: Run) -> list[str]:
    dataset = run.dataset
    return [
        *("/", "/data/", "/runs/", "/account/", "/account/storage", "/status", "/boards"),
        *("/boards/models.csv", "/boards/datasets.json", f"/boards/data/{dataset.id}"),
        *(f"/data/{dataset.id}", f"/data/{dataset.id}/more", f"/data/{dataset.id}/delete"),
        *(f"/runs/{run.id}", f"/runs/{run.id}/state", f"/models/{run.id}"),
        *("/api/datasets", "/api/runs", f"/api/datasets/{dataset.id}", f"/api/runs/{run.id}"),
    ]


def measure(client: Client, page: str) -> tuple[int, float, float, float]:
    """Queries; median and 95th percentile from the request to the last byte, and processor time, of a request in ms."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def get() -> float:
        start = time.perf_counter()
        response = client.get(page)
        taken_ms = (time.perf_counter() - start) * 1000
        assert response.status_code == 200, f"{page}: {response.status_code}"
        return taken_ms

    for _ in range(WARM_UP):
        get()
    with CaptureQueriesContext(connection) as captured:
        get()
    queries = len(captured)  # the next request forgets them
    before_s = time.process_time()
    taken = sorted(get() for _ in range(REQUESTS))
    processor_ms = (time.process_time() - before_s) * 1000 / REQUESTS
    return queries, (taken[9] + taken[10]) / 2, taken[18], processor_ms


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--datasets", type=int, default=500)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "webapp.settings", "ALLOWED_HOSTS": "testserver"}
        import django

        django.setup()
        lines = measure_all(chosen.runs, chosen.datasets)
    if chosen.write:
        _write(lines)
    limit_ms = MOST_MS if chosen.runs <= 10_000 else MOST_MS_OF_MORE
    return int(any(queries > MOST_QUERIES or p95 >= limit_ms for *_, queries, _, p95, _ in lines))


def measure_all(run_count: int, dataset_count: int) -> list[tuple]:  # type: ignore[type-arg]
    from django.core.management import call_command
    from django.test import Client

    from webapp.ops.management.commands.prepare import collect_static

    call_command("migrate", verbosity=0)
    call_command("sync_portfolio", verbosity=0)
    collect_static()
    owner, run = fill(run_count, dataset_count)
    visitor, client = Client(), Client()
    client.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    lines = []
    for who, page in [*((client, page) for page in pages(run)), (visitor, "/"), (visitor, f"/data/{run.dataset.id}")]:
        queries, *times_ms = measure(who, page)
        name = page.replace(run.id, "ID").replace(run.dataset.id, "ID") + " of a visitor" * (who is visitor)
        lines.append((date.today(), run_count, dataset_count, name, queries, *(round(ms, 1) for ms in times_ms)))
        print(*lines[-1][3:], sep="\t", flush=True)
    return lines


def _write(lines: list[tuple]) -> None:  # type: ignore[type-arg]
    is_new = not RESULTS.exists()
    with open(RESULTS, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS] * is_new)
        writer.writerows(lines)


if __name__ == "__main__":
    sys.exit(main())
