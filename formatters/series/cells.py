"""A table with a whole series in a cell: "[0.1, 0.2, ...]" or "0.1 0.2 ..."; several such columns are channels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Sample
from formatters.labels.row_labels import read_labels
from formatters.labels.target import choose
from formatters.series.cases import Cases, roughness
from formatters.tables.files import TableUpload, load
from formatters.tables.kind import PIXEL_PREFIXES
from formatters.tables.new_rows import for_each_file, layout, read_new_rows, write_new_rows

MAX_ROUGHNESS = 0.5  # of whole numbers; 2 for a random order
MIN_STEPS = 8  # shorter lists are rather several labels
DECIMAL_COMMA = re.compile(r"[-+]?\d+(,\d+)?(e[-+]?\d+)?", re.IGNORECASE)


def sniff(root: Path, options: Options) -> Evidence | None:
    upload = load(root)
    names = _series_columns(upload) if upload else []
    return Evidence(0.96, [f"each cell of column {names[0]!r} holds a series"]) if names else None


def _series_columns(upload: TableUpload) -> list[str]:
    """Columns whose cells are lists of numbers; whole ones must be smooth, else they may be words of a vocabulary."""
    names = []
    for column in upload.columns:
        cells = list(column.counts)[:200]
        if column.numbers or not cells or column.name.lower().startswith(PIXEL_PREFIXES):
            continue
        lists = [values for cell in cells if (values := _numbers(cell)) is not None and len(values) >= MIN_STEPS]
        if len(lists) > 0.9 * len(cells) and (any((values % 1 != 0).any() for values in lists) or _are_curves(lists)):
            names.append(column.name)
    return names


def _are_curves(lists: list[np.ndarray]) -> bool:
    """Whole numbers that follow one another as measurements do, and are no sorted numbers or rows of pixels."""
    if sum(bool((np.diff(values) >= 0).all()) for values in lists) > len(lists) / 2:
        return False
    square = len({len(values) for values in lists}) == 1 and math.isqrt(len(lists[0])) ** 2 == len(lists[0]) >= 64
    return not square and float(np.median([roughness(values[:, None]) for values in lists])) < MAX_ROUGHNESS


def _numbers(cell: str) -> np.ndarray | None:
    inner = cell.strip().strip("[]()").strip()
    parts = re.split(r"\s*;\s*|\s+", inner)
    if len(parts) > 1 and all(map(DECIMAL_COMMA.fullmatch, parts)):
        parts = [part.replace(",", ".") for part in parts]
    else:
        parts = re.split(r"\s*[,;]\s*|\s+", inner)
    try:
        return np.array([float(part if part.lower() not in ("null", "none", "") else "nan") for part in parts])
    except ValueError:
        return None


def read(root: Path, options: Options) -> Cases:
    upload = load(root)
    if upload is None:
        raise DataError("the upload holds no table; give a CSV with a series in a cell of each row.")
    names = _series_columns(upload)
    target = choose(upload.table, upload.columns, options.target)
    labels = read_labels(upload.table, upload.columns, target, options.label_cuts)
    kept = [i for i, row in enumerate(labels.rows) if row is not None]
    cells = zip(*(upload.table.column(name) for name in names), strict=True)
    series = [_case(row, source) for row, source in zip(cells, upload.sources, strict=True)]
    return Cases(
        [series[i] for i in kept],
        [Sample(upload.sources[i], labels.rows[i] or (), upload.sides[i]) for i in kept],
        labels.names,
        labels.multi_label,
        Findings(
            [target.why, f"the cells of {', '.join(map(repr, names))} hold the series", *upload.why],
            upload.doubts_for(target.columns) + target.doubts + labels.doubts,
            upload.ignored,
            target=",".join(target.columns),
        ),
        {
            "layout": "cells",
            "channels": names,
            "table": layout(upload.table, target.columns),
            "packages": upload.packages,
        },
        lambda picks, folder: write_new_rows(upload.table, target.columns, [kept[i] for i in picks], folder),
    )


def _case(cells: Sequence[str], source: str) -> np.ndarray:
    """(T, C); a channel that is shorter ends in NaN."""
    channels = [_numbers(cell) for cell in cells]
    found = [values for values in channels if values is not None]
    if len(found) < len(channels):
        raise DataError(f"{source} holds a cell that is no list of numbers; correct it or remove the row.")
    case = np.full((max(map(len, found)), len(found)), np.nan)
    for at, values in enumerate(found):
        case[: len(values), at] = values
    return case


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """The rows of tables laid out as the training data."""

    def read(path: Path, name: str) -> None:
        rows = read_new_rows(path, name, recipe["table"], recipe["channels"])
        for at, (row, cells) in enumerate(zip(rows.names, zip(*rows.cells, strict=True), strict=True)):
            try:
                new.add(row, None if at in rows.unread else _case(cells, row), rows.unread.get(at, ""))
            except DataError as error:
                new.add(row, None, str(error))
        new.notes += rows.notes

    for_each_file(new, source, read)
