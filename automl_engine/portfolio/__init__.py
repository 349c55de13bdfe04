"""Configurations as rows: ``image.yaml`` and so on, one file a modality, in the order in which they are tried.

A row is ``{name, modality, model, params, origin, enabled, space}``; a new one is a few lines of YAML.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from automl_engine.errors import DataError
from automl_engine.models.configuration import check

MODALITIES = ("image", "video", "audio", "text", "tabular", "timeseries")
KNOWN_SETS = {"image": 14, "video": 3, "audio": 6, "text": 12, "tabular": 28, "timeseries": 13}
"""Number of data sets on which the order of these files was compared with others, by replay (docs/results.md)."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Of libyaml, where it is there: an eighth of the time."""
MEASURED, GIVEN = "measured", "given"
"""Why a configuration stands where it does: the measured order of these files, or somebody's own file."""


@dataclass(frozen=True)
class Row:
    """One configuration of a model."""

    name: str
    modality: str
    model: str
    """Key of MODELS."""
    origin: str
    """Where it comes from and why it is here, in plain words: the run page shows it."""
    params: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True
    space: dict[str, Any] = field(default_factory=dict)
    """What ``search`` may try instead of the parameters, in the notation of portfolio/space.py."""
    place: str = GIVEN
    """Why it stands where it does; a site has more reasons (docs/formats.md, event ``order``)."""


def load(path: Path | None = None) -> list[Row]:
    """The rows of one file, or all built-in rows; in order.

    Raises:
        DataError: the file is no list of rows, or two rows have the same name.
    """
    here = Path(__file__).parent
    files = [path] if path else [here / f"{modality}.yaml" for modality in MODALITIES]
    rows = [_row(entry, file.name) for file in files if file.exists() or path for entry in _entries(file)]
    rows = rows if path else [replace(row, place=MEASURED) for row in rows]
    names = [row.name for row in rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise DataError(f"Two portfolio rows are called {twice}; give one of them another name.")
    return rows


def changed_row(name: str, rows: Sequence[Row]) -> Row | None:
    """The configuration NAME of ``auto-NAME`` or ``auto+NAME``; None for other names."""
    return next((row for row in rows if name in (f"auto-{row.name}", f"auto+{row.name}")), None)


def configurations(name: str, rows: Sequence[Row]) -> list[Row]:
    """The configurations of ``auto``; ``auto-NAME`` leaves one out, ``auto+NAME`` adds one that is off.

    Raises:
        DataError: the configuration is already off, or on.
    """
    changed = changed_row(name, rows)
    if changed and changed.enabled != name.startswith("auto-"):
        raise DataError(
            f"{name} is the same as auto, because {changed.name} is {'on' if changed.enabled else 'off'}; use auto."
        )
    return [row for row in rows if (name.startswith("auto+") if row is changed else row.enabled)]


def _entries(file: Path) -> list[Any]:
    try:
        entries = yaml.load(file.read_text(encoding="utf-8"), _LOADER)  # noqa: S506  a safe one
    except (OSError, yaml.YAMLError) as error:
        raise DataError(f"The portfolio {file.name} cannot be read ({error}).") from error
    if not isinstance(entries, list):
        raise DataError(f"The portfolio {file.name} must be a list of rows.")
    return entries


def _row(entry: Any, file_name: str) -> Row:
    known = {item.name for item in fields(Row)}
    if not isinstance(entry, dict) or not {"name", "modality", "model"} <= set(entry) <= known:
        raise DataError(
            f"A row of {file_name} must have name, modality, model and may have {sorted(known)}: {entry!r}."
        )
    if entry["modality"] not in MODALITIES:
        raise DataError(f"Row {entry['name']} of {file_name}: modality must be one of {', '.join(MODALITIES)}.")
    row = Row(**{"origin": "", **entry})
    try:
        check(row.model, row.params, row.space)
    except DataError as error:
        raise DataError(f"Row {row.name} of {file_name}: {error}") from error
    return row
