"""Configurations: the engine's YAML files, the database, and the file for a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from webapp import engine
from webapp.engine import DataError
from webapp.portfolio import files, gains, history
from webapp.portfolio.models import MODALITIES, PortfolioRow
from webapp.runs.models import Run
from webapp.runs.words import kind

FIELDS = ("name", "modality", "model", "params", "origin", "enabled")


def write_enabled(path: Path, run: Run | None = None) -> None:
    """The enabled configurations and that of the run as YAML, in their order, for ``automl_engine run --portfolio``."""
    enabled = PortfolioRow.objects.filter(Q(enabled=True) | Q(name=run.model if run else ""))
    usable = [row for row in enabled if not (refusal(row.model, row.params) or wrong_kind(row.model, row.modality))]
    rows = [
        {field: getattr(row, field) for field in FIELDS}
        | {"params": files.located(row.model, row.params), "place": place}
        for row, place in gains.in_order(usable, run)
    ]
    path.write_text(yaml.safe_dump(rows, sort_keys=False, allow_unicode=True), encoding="utf-8")


def as_yaml(row: PortfolioRow) -> str:
    """A file that can be imported again; the switch stays here."""
    told = [{field: getattr(row, field) for field in FIELDS if field != "enabled"}]
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def refusal(model: str, params: dict[str, Any]) -> str:
    """Why no run may use such a configuration, in one sentence; empty if a run may."""
    if model not in engine.model_names():
        return f"This version of the engine has no model “{model}”; choose another model, or switch it off."
    try:
        engine.configuration.check(model, params)
    except DataError as error:
        return str(error)
    return files.missing(model, params)


def wrong_kind(model: str, modality: str) -> str:
    """Why a model is none for a kind of data, in one sentence; empty if it is, or is for all kinds."""
    of = {"series": "timeseries"}.get(prefix := model.partition("_")[0], prefix)
    if of not in MODALITIES or of == modality or (of, modality) == ("timeseries", "audio"):
        return ""
    return f"The model {model} is for {kind(of)} data, not for {kind(modality)} data; choose another."


def obstacle(row: PortfolioRow) -> str:
    """Why a configuration cannot run on this machine, in one sentence; empty if it can."""
    if why := refusal(row.model, row.params) or wrong_kind(row.model, row.modality):
        return why
    if row.model in engine.configuration.ALONE and (why := engine.confined.refusal()):
        return why
    try:
        lacks = engine.configuration.missing(row.model, files.located(row.model, row.params) or {})
    except DataError as error:  # a setting of the server
        return str(error)
    return f"It needs {lacks}." if lacks else ""


def parsed(text: str | bytes) -> Any:
    """YAML (which includes JSON) from an administrator; the result fits into a JSON field.

    Raises:
        DataError: it is not YAML, or holds values that JSON cannot.
    """
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise DataError("The YAML uses an alias (*name), which could expand without limit; write the values out.")
        found = yaml.safe_load(text)
        json.dumps(found, allow_nan=False)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise DataError(f"This is neither YAML nor JSON{where}.") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(
            "Values must be numbers, texts, lists or mappings, not nested too deeply; replace dates and NaN."
        ) from error
    return found


def shipped_rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """The configurations in the engine's files, in their order."""
    folder = folder or settings.BASE_DIR / "automl_engine" / "portfolio"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        for position, row in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")) or []):
            defaults = {"modality": path.stem, "params": {}, "origin": "", "enabled": True}
            found.append(defaults | row | {"position": position})
    return found


@transaction.atomic
def synchronise(folder: Path | None = None) -> dict[str, int]:
    """Load the shipped configurations into the database; returns how many were added, changed and retired.

    Edits by an administrator are kept, and so is whether a configuration is enabled.
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
