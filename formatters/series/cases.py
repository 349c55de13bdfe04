"""What every layout of time series gives, and how its values become an array without gaps."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Doubt, Findings, Sample
from formatters.tables.columns import is_missing, parse_number
from formatters.tables.fit import shown
from formatters.tables.numbers import MAX_FLOAT32, decimal_mark
from formatters.words import counted

TIME_NAME = re.compile(
    r"#?\s*(time|time[_ ]?stamp|t|date|datetime|step|time[_ ]?step|tick|frame|index|elapsed([_ ]time)?|"
    r"(milli)?seconds?|m?secs?|ms|minutes?|hours?)([_ ](m?s|m?secs?|seconds|ns|us))?\b.*",
    re.IGNORECASE,
)


@dataclass
class Cases:
    """Series as found, (T, C) with NaN for missing values, and their labels."""

    series: list[np.ndarray]
    samples: list[Sample]
    label_names: list[str]
    multi_label: bool
    findings: Findings
    recipe: dict[str, Any] = field(default_factory=dict)
    write_raw: Callable[[Sequence[int], Path], None] | None = None  # default: a .ts file
    groups: dict[str, list[str]] = field(default_factory=dict)


def with_values(cases: Cases) -> Cases:
    """Without the series that hold no values.

    Raises:
        DataError: half of them or more hold none.
    """
    kept = [at for at, case in enumerate(cases.series) if np.isfinite(case).any()]
    empty = sorted(set(range(len(cases.series))) - set(kept))
    if not empty:
        return cases
    first = cases.samples[empty[0]].source
    if len(empty) >= len(kept):
        raise DataError(f"the series of {first} holds no values; remove it or fill it in.")
    what = counted(len(empty), "series holds no values and is left out", "series hold no values and are left out")
    samples, write_raw = [cases.samples[at] for at in kept], cases.write_raw
    lost = {label for at in empty for label in cases.samples[at].labels}
    lost -= {label for sample in samples for label in sample.labels}
    doubts = [*cases.findings.doubts, Doubt(what, "fill them in, or remove them", first)]
    return replace(
        cases,
        series=[cases.series[at] for at in kept],
        samples=samples,
        label_names=[name for name in cases.label_names if name not in lost],
        findings=replace(cases.findings, doubts=doubts),
        write_raw=write_raw and (lambda picks, folder: write_raw([kept[i] for i in picks], folder)),
        groups={name: [values[at] for at in kept] for name, values in cases.groups.items()},
    )


def roughness(values: np.ndarray) -> float:
    """Von Neumann's ratio, median over the channels: 2 for rows in any order, near 0 for smooth curves.

    A channel of equal steps (an id) tells nothing.
    """
    steps = np.diff(values, axis=0)
    varied = np.nanstd(steps, axis=0) > 1e-9 * (np.nanstd(values, axis=0) + 1e-12)
    if not varied.any():
        return 2.0
    spread = np.nansum((values - np.nanmean(values, axis=0)) ** 2, axis=0)[varied]
    return float(np.median(np.nansum(steps**2, axis=0)[varied] / (spread + 1e-12)))


def trimmed(case: np.ndarray) -> np.ndarray:
    """Without the steps at both ends where no channel has a value."""
    known = np.flatnonzero(~np.isnan(case).all(axis=1))
    return case[known[0] : known[-1] + 1] if len(known) else case[:0]


def clean(case: np.ndarray, source: str) -> np.ndarray:
    """(T', C) float32 without missing values."""
    values = trimmed(np.where(np.isfinite(case), case, np.nan))
    if not len(values):
        raise DataError(f"the series of {source} holds no values; remove it or fill it in.")
    missing = np.isnan(values)
    if missing.any():
        steps = np.arange(len(values))
        for at in np.flatnonzero(missing.any(axis=0)):
            known = ~missing[:, at]
            values[:, at] = np.interp(steps, steps[known], values[known, at]) if known.any() else 0.0
    return values.clip(-MAX_FLOAT32, MAX_FLOAT32).astype(np.float32)


def stack(cells: Sequence[Sequence[list[str]]], decimal_comma: bool) -> np.ndarray:
    """Cells by channel, step and row -> (N, T, C) float64; NaN where a cell is no number."""
    values = [
        np.stack([np.array([parse_number(cell, decimal_comma) for cell in column], float) for column in steps])
        for steps in cells
    ]
    return np.stack(values).transpose(2, 1, 0)


def uses_decimal_comma(columns: Sequence[list[str]], delimiter: str, otherwise: bool = False) -> bool:
    """By the cells of all columns together; ``otherwise``: where they do not tell."""
    mark = decimal_mark({cell for column in columns for cell in column}, delimiter)
    return mark == "," if mark else otherwise


def strange_cells(columns: Sequence[list[str]], values: np.ndarray) -> dict[int, list[str]]:
    """Cells that are neither numbers nor missing, by row; ``values``: theirs (rows, columns)."""
    found: dict[int, list[str]] = {}
    for row, column in np.argwhere(np.isnan(values)).tolist():
        if not is_missing(columns[column][row]):
            found.setdefault(row, []).append(columns[column][row])
    return found


def flaw(cells: Sequence[str]) -> str:
    """The problem of a series with such cells, if there are any."""
    if not cells:
        return ""
    what = counted(len(cells), "cell is no number and counts", "cells are no numbers and count")
    return f"{what} as missing, such as {shown(cells[0])}"
