"""Time series in any of the layouts of ``formatters/series/``.

A series is (T, 1, 1, C).  Missing values at both ends are cut off (padding), those between are filled linearly.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from automl_engine.dataset.spec import VARIABLE, Spec
from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, NewData, Options, Table, spec_of
from formatters.edits.labels import edited_series
from formatters.media.order import files_below
from formatters.series.cases import Cases, clean, trimmed, with_values
from formatters.series.ts_file import read_ts, write_ts
from formatters.tables.new_rows import for_each_file
from formatters.words import counted

LAYOUTS = (
    "ts",
    "sensors",
    "recordings",
    "cells",
    "long",
    "wide",
)  # modules of formatters/series, in the order asked
PREVIEW_POINTS = 100
PADDED_SHARE = 0.2  # of series that end in zeros: told


def sniff(root: Path, options: Options) -> Evidence | None:
    return _layout_of(root, options)[1]


def _layout_of(root: Path, options: Options) -> tuple[str, Evidence | None]:
    """The first layout that fits; a table of rows where none does."""
    for name in LAYOUTS:
        evidence = _layout(name).sniff(root, options)
        if evidence:
            return name, evidence
    return "wide", None


def _layout(name: str) -> ModuleType:
    return import_module(f"formatters.series.{name}")


def read(root: Path, options: Options) -> Table:
    cases = _layout(_layout_of(root, options)[0]).read(root, options)
    return _table(edited_series(cases, options), options)


def _table(cases: Cases, options: Options) -> Table:
    cases = with_values(cases)
    found = cases.findings
    doubts = found.doubts + _padding_doubts(cases)
    series = [clean(case, sample.source) for case, sample in zip(cases.series, cases.samples, strict=True)]
    filled = sum(bool(np.isnan(trimmed(case)).any()) for case in cases.series)
    if filled:
        what = f"{filled:,} series had gaps, which were filled by straight lines between the neighbouring values"
        doubts.append(Doubt(what, "fill them yourself if that is wrong", "", "info"))
    lengths = [len(case) for case in series]
    if max(lengths) < 2:
        raise DataError("every series has a single step; give at least two, or choose the modality tabular.")
    fixed = min(lengths) == max(lengths)
    channels = series[0].shape[1]
    length = f"{lengths[0]:,} steps each" if fixed else f"{min(lengths):,} to {max(lengths):,} steps"
    stats = {"name": "length", "unit": "steps", "min": min(lengths), "median": float(np.median(lengths))}
    return Table(
        modality="timeseries",
        samples=cases.samples,
        label_names=cases.label_names,
        multi_label=cases.multi_label,
        spec=Spec(
            name=options.name or "series",
            sample_count=len(series),
            output_dim=len(cases.label_names),
            sequence_size=lengths[0] if fixed else VARIABLE,
            num_channels=channels,
            is_sequence=True,
            label_to_index={name: index for index, name in enumerate(cases.label_names)},
        ),
        steps=lambda i: series[i].reshape(-1, 1, 1, channels),
        preview=lambda i, path: {"kind": "series", "series": _points(series[i])},
        write_raw=cases.write_raw
        or (lambda picks, folder: write_ts([cases.series[i] for i in picks], folder / "new.ts")),
        recipe=cases.recipe,
        groups=cases.groups,
        findings=replace(
            found,
            why=[*found.why, f"{counted(channels, 'channel')}, {length}"],
            doubts=doubts,
            stats=[stats | {"max": max(lengths)}],
        ),
    )


def _padding_doubts(cases: Cases) -> list[Doubt]:
    """Zeros at the end on every channel look like padding; they may be data, so they stay."""
    ends = [
        len(case) - np.flatnonzero(np.nan_to_num(case, nan=1).any(axis=1)).max(initial=-1) - 1 for case in cases.series
    ]
    padded = sum(end >= 3 for end in ends)
    if padded < PADDED_SHARE * len(ends):
        return []
    what = f"{padded:,} of {len(ends):,} series end in zeros on every channel, as if padded; they were kept as they are"
    return [Doubt(what, "write NaN (or nothing) instead of the zeros to have them cut off", "", "info")]


def _points(case: np.ndarray) -> list[list[float]]:
    picks = np.linspace(0, len(case) - 1, min(PREVIEW_POINTS, len(case))).round().astype(int)
    return [[float(f"{value:.5g}") for value in channel] for channel in case[picks].T]


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    """New series: .ts files (labels are ignored), or files laid out as the training data."""
    new = NewData(spec_of(recipe))
    files = [source.name] if source.is_file() else files_below(source)
    if any(name.lower().endswith(".ts") for name in files):
        for_each_file(new, source, lambda path, name: _add_ts(new, path, name))
    else:
        layout = recipe.get("layout", "wide" if "series_columns" in recipe else "ts")
        _layout(layout).encode(recipe, source, new)
    for at, case in enumerate(new.contents):
        if case is not None:
            try:
                new.contents[at] = _fitting(case, new.names[at], new.spec)
            except DataError as error:
                new.contents[at], new.problems[at] = None, str(error)
    return new


def _add_ts(new: NewData, path: Path, name: str) -> None:
    parsed = read_ts(path)
    cases = dict(zip(parsed.lines, parsed.cases, strict=True))
    for line in sorted([*cases, *parsed.unread]):
        new.add(f"{name or path.name}, line {line}", cases.get(line), parsed.unread.get(line, ""))


def _fitting(case: np.ndarray, name: str, spec: Spec) -> np.ndarray:
    """(T, 1, 1, C) without missing values.

    Raises:
        DataError: it holds no values, or its shape differs from that of the training data.
    """
    values = clean(case, name)
    if values.shape[1] != spec.num_channels:
        raise DataError(
            f"the series of {name} has {counted(values.shape[1], 'channel')} but the model learned from "
            f"{spec.num_channels}; give the same channels in the same order."
        )
    if spec.sequence_size not in (VARIABLE, len(values)):
        raise DataError(
            f"the series of {name} has {len(values):,} steps but the model learned from {spec.sequence_size:,}; "
            "cut or resample it to that length."
        )
    return values.reshape(-1, 1, 1, spec.num_channels)
