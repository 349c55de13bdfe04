"""Portfolio rows between the engine's YAML files, the database and a run's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.db import transaction

from webapp.portfolio.models import PortfolioRow

FIELDS = ("name", "modality", "model", "params", "origin", "enabled")
CONTENT = ("modality", "model", "params", "origin", "position")


def write_enabled(path: Path) -> None:
    """The enabled rows as YAML, in ladder order, for ``automl_engine run --portfolio``."""
    rows = PortfolioRow.objects.filter(enabled=True).values(*FIELDS)
    path.write_text(yaml.safe_dump(list(rows), sort_keys=False, allow_unicode=True), encoding="utf-8")


def shipped_rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """What the engine's files say: a list of rows each, whose order is the ladder."""
    folder = folder or settings.BASE_DIR / "automl_engine" / "portfolio"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        for position, row in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")) or []):
            defaults = {"modality": path.stem, "params": {}, "origin": "", "enabled": True}
            found.append(defaults | row | {"position": position})
    return found


@transaction.atomic
def synchronise(folder: Path | None = None) -> dict[str, int]:
    """Bring the shipped rows into the database; returns how many were added, changed and retired.

    A row edited by an administrator keeps the edit, and the switch of every row is theirs alone.
    """
    counts = {"added": 0, "changed": 0, "retired": 0}
    shipped = shipped_rows(folder)
    known = {row.name: row for row in PortfolioRow.objects.all()}
    for row in shipped:
        old = known.get(row["name"])
        if old is None:
            fields = {name: row[name] for name in (*CONTENT, "name", "enabled")}
            PortfolioRow.objects.create(shipped=True, **fields)
            counts["added"] += 1
        elif not old.edited and any(getattr(old, name) != row[name] for name in CONTENT):
            for name in CONTENT:
                setattr(old, name, row[name])
            old.shipped, old.version = True, old.version + 1
            old.save()
            counts["changed"] += 1
    gone = PortfolioRow.objects.filter(shipped=True, edited=False).exclude(name__in=[row["name"] for row in shipped])
    counts["retired"] = gone.update(shipped=False, enabled=False)
    return counts
