"""Files without a row, which a killed process or a full disk has left behind: removed at the start and once a day."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from webapp import store
from webapp.datasets.models import Dataset, Upload
from webapp.datasets.storage import measure_run, remove
from webapp.portfolio.files import PARAMETER
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Prediction, Run

log = logging.getLogger(__name__)
YOUNG_S = 3600  # files come before their row: an upload, an import, a prediction being saved


def daily() -> None:
    sweep()
    measure()


def sweep() -> int:
    """Remove what no row names and nobody has touched for an hour; returns how many files and folders."""
    found = list(stale())
    for path in found:
        log.warning("removing %s: nothing in the database belongs to it", path)
        remove(path)
    return len(found)


def stale() -> Iterator[Path]:
    """What no row names and nobody has touched for an hour."""
    for path in list(_orphans()):
        if time.time() - (path.stat().st_mtime if path.exists() else store.changed_s(path)) > YOUNG_S:
            yield path


def measure() -> None:
    """What every run takes on disk: also what a killed job has left there."""
    for run_id in Run.objects.exclude(state__in=Run.OPEN).values_list("pk", flat=True).iterator():
        measure_run(run_id)


def _orphans() -> Iterator[Path]:
    """Folders are listed before their rows are asked for, so that what is made meanwhile is not taken for an orphan."""
    root = Path(settings.MEDIA_ROOT)
    for folder, model in (("uploads", Upload), ("datasets", Dataset), ("runs", Run)):
        found = {*(root / folder).glob("*"), *store.within(root / folder)}
        known = set(model.objects.values_list("pk", flat=True))
        # a run's first try lies beside it, as ID-lost-try, while it is put aside
        yield from (path for path in found if _owner(path) not in known)
    found = set((root / "runs").glob("*/predictions/*"))
    known = set(Prediction.objects.values_list("pk", flat=True))
    living = set(Run.objects.values_list("pk", flat=True))
    yield from (path for path in found if path.name not in known and path.parts[-3] in living)
    found = {*(root / "portfolio").glob("*"), *store.within(root / "portfolio")}
    named = {name for row in PortfolioRow.objects.all() for name in _names(row)}
    yield from (path for path in found if path.name not in named)


def _owner(path: Path) -> str:
    return path.name.removesuffix(".part").partition("-")[0]


def _names(row: PortfolioRow) -> Iterator[str]:
    """Folders that a row uses: its own, and one that it names."""
    yield row.name
    place = str(row.params.get(PARAMETER.get(row.model, ""), ""))
    if place:
        yield Path(place).parts[0]
