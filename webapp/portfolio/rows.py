"""Portfolio rows between the engine's YAML files, the database and a run's own file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from webapp.engine import DataError
from webapp.portfolio import files, history
from webapp.portfolio.models import PortfolioRow

FIELDS = ("name", "modality", "model", "params", "origin", "enabled")


def write_enabled(path: Path, also: str = "") -> None:
    """The enabled rows as YAML, in ladder order, for ``automl_engine run --portfolio``.

    Args:
        also: a row that is asked for by name, enabled or not.
    """
    rows = []
    for row in PortfolioRow.objects.filter(Q(enabled=True) | Q(name=also)).values(*FIELDS):
        params = files.located(row["model"], row["params"])
        if params is not None:  # else it names a file that is none of the portfolio's
            rows.append(row | {"params": params})
    path.write_text(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True), encoding="utf-8")


def parsed(text: str | bytes) -> Any:
    """What an administrator typed or sent as YAML, of which JSON is a part; it fits into a JSON field.

    Raises:
        DataError: it is no YAML, or holds what JSON cannot.
    """
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise DataError("The YAML repeats a part by an alias (*name), which can grow without bounds; write it out.")
        found = yaml.safe_load(text)
        json.dumps(found, allow_nan=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise DataError(f"This is neither YAML nor JSON{where}.") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError("A value is neither a number, a text, a list nor a mapping (perhaps a date or NaN).") from error
    return found


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
    shipped = {row["name"]: row for row in shipped_rows(folder)}
    known = {row.name: row for row in PortfolioRow.objects.all()}
    for name, row in shipped.items():
        content = {key: row[key] for key in history.CONTENT}
        old = known.get(name)
        if old is None:
            history.keep(PortfolioRow(name=name, shipped=True, enabled=row["enabled"], **content), None)
            counts["added"] += 1
        elif not old.edited and history.content_of(old) != content:
            for key, value in content.items():
                setattr(old, key, value)
            old.shipped = True
            history.keep(old, None, "updated")
            counts["changed"] += 1
    for old in known.values():
        if old.shipped and not old.edited and old.name not in shipped:
            old.shipped = old.enabled = False
            if history.keep(old, None, "no longer shipped") is None:  # it was off already
                old.save()
            counts["retired"] += 1
    return counts
