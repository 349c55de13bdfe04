"""A table with a whole series in a cell: "[0.1, 0.2, ...]" or "0.1 0.2 ..."; several such columns are channels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Evidence, Options, Sample
from formatters.series.cases import Cases
from formatters.tables.files import TableUpload, load
from formatters.tables.kind import PIXEL_PREFIXES
from formatters.tables.new_rows import layout, read_new_rows, write_new_rows
from formatters.tables.row_labels import read_labels
from formatters.tables.target import choose

MIN_STEPS = 8  # shorter lists are rather several labels


def sniff(root: Path, options: Options) -> Evidence | None:
    upload = load(root)
    names = _series_columns(upload) if upload else []
    return Evidence(0.96, [f"each cell of column {names[0]!r} holds a series"]) if names else None


def _series_columns(upload: TableUpload) -> list[str]:
    """Columns whose cells are lists with a decimal mark; whole numbers may be words of a vocabulary, or pixels."""
    names = []
    for column in upload.columns:
        cells = list(column.counts)[:200]
        if column.numbers or not cells or column.name.lower().startswith(PIXEL_PREFIXES):
            continue
        lists = [values for cell in cells if (values := _numbers(cell)) is not None and len(values) >= MIN_STEPS]
        if len(lists) > 0.9 * len(cells) and any((values % 1 != 0).any() for values in lists):
            names.append(column.name)
    return names


def _numbers(cell: str) -> np.ndarray | None:
    parts = re.split(r"\s*[,;]\s*|\s+", cell.strip().strip("[]()").strip())
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
    series = _join([upload.table.column(name) for name in names], upload.sources)
    return Cases(
        [series[i] for i in kept],
        [Sample(upload.sources[i], labels.rows[i] or (), upload.sides[i]) for i in kept],
        labels.names,
        labels.multi_label,
        [target.why, f"the cells of {', '.join(map(repr, names))} hold the series", *upload.why],
        upload.doubts_for(target.columns) + target.doubts + labels.doubts,
        {"layout": "cells", "channels": names, "table": layout(upload.table, target.columns)},
        lambda picks, folder: write_new_rows(upload.table, target.columns, [kept[i] for i in picks], folder),
        {"target": ",".join(target.columns), "ignored": upload.ignored},
    )


def _join(columns: list[list[str]], sources: list[str]) -> list[np.ndarray]:
    """A (T, C) array for each row; a channel that is shorter ends in NaN."""
    series = []
    for source, cells in zip(sources, zip(*columns, strict=True), strict=True):
        channels = [_numbers(cell) for cell in cells]
        found = [values for values in channels if values is not None]
        if len(found) < len(channels):
            raise DataError(f"{source} holds a cell that is no list of numbers; correct it or remove the row.")
        case = np.full((max(map(len, found)), len(found)), np.nan)
        for at, values in enumerate(found):
            case[: len(values), at] = values
        series.append(case)
    return series


def encode(recipe: dict[str, Any], source: Path) -> tuple[list[str], list[np.ndarray]]:
    """The rows of a table laid out as the training data."""
    names, cells = read_new_rows(source, recipe["table"], recipe["channels"])
    return names, _join(cells, names)
