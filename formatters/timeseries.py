"""Time series: .ts files of the UCR/UEA archive (fixed or variable length, several channels), or wide CSVs.

A series is (T, 1, 1, C).  Missing values at both ends are cut off (padding), those between are filled linearly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.examples import Examples, MemoryExamples
from automl_engine.errors import DataError
from automl_engine.spec import VARIABLE, Spec
from formatters.base import Doubt, Evidence, Options, Sample, Table, spec_of
from formatters.media.order import natural
from formatters.split_words import sides_of_paths
from formatters.tables.columns import Column, describe, parse_number, profile
from formatters.tables.files import TableUpload, load
from formatters.tables.kind import judge, series_channels
from formatters.tables.new_rows import layout, read_new_rows, table_paths, write_new_rows
from formatters.tables.reader import RawTable, read_table
from formatters.tables.target import choose, read_labels
from formatters.tables.ts_file import TsFile, is_ts, read_ts, write_ts
from formatters.words import counted

PREVIEW_POINTS = 100
PADDED_SHARE = 0.2  # of series that end in zeros: told


@dataclass
class Cases:
    """Series as found, (T, C) with NaN for missing values, and their labels."""

    series: list[np.ndarray]
    samples: list[Sample]
    label_names: list[str]
    multi_label: bool
    why: list[str]
    doubts: list[Doubt] = field(default_factory=list)
    recipe: dict[str, Any] = field(default_factory=dict)
    write_raw: Callable[[Sequence[int], Path], None] | None = None  # default: a .ts file
    about: dict[str, Any] = field(default_factory=dict)  # further fields of the Table


def sniff(root: Path, options: Options) -> Evidence | None:
    files = _ts_files(root)
    if files:
        return Evidence(1.0, [f"{', '.join(path.name for path in files[:4])}: .ts files of the UCR/UEA archive"])
    return judge(root, options).get("timeseries")


def _ts_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix.lower() == ".ts" and path.is_file() and is_ts(path))


def read(root: Path, options: Options) -> Table:
    files = _ts_files(root)
    if files:
        return _table(_read_ts_files(root, files, options), options)
    upload = load(root)
    if upload is None:
        raise DataError("the upload holds no time series; give a .ts file, or a CSV with a series in each row.")
    return _table(_read_columns(upload, options), options)


def _table(cases: Cases, options: Options) -> Table:
    doubts = cases.doubts + _padding_doubts(cases)
    series = [clean(case, sample.source) for case, sample in zip(cases.series, cases.samples, strict=True)]
    filled = sum(bool(np.isnan(_trimmed(case)).any()) for case in cases.series)
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
        stats=[stats | {"max": max(lengths)}],
        doubts=doubts,
        why=[*cases.why, f"{counted(channels, 'channel')}, {length}"],
        **cases.about,
    )


def _trimmed(case: np.ndarray) -> np.ndarray:
    """Without the steps at both ends where no channel has a value."""
    known = np.flatnonzero(~np.isnan(case).all(axis=1))
    return case[known[0] : known[-1] + 1] if len(known) else case[:0]


def clean(case: np.ndarray, source: str) -> np.ndarray:
    """(T', C) float32 without missing values."""
    values = _trimmed(np.where(np.isfinite(case), case, np.nan))
    if not len(values):
        raise DataError(f"the series of {source} holds no values; remove it or fill it in.")
    missing = np.isnan(values)
    if missing.any():
        steps = np.arange(len(values))
        for at in np.flatnonzero(missing.any(axis=0)):
            known = ~missing[:, at]
            values[:, at] = np.interp(steps, steps[known], values[known, at]) if known.any() else 0.0
    return values.astype(np.float32)


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


def _read_ts_files(root: Path, files: list[Path], options: Options) -> Cases:
    if options.target:
        raise DataError(f".ts files hold their own labels, so there is no column {options.target!r}; leave it out.")
    parsed = {path.relative_to(root).as_posix(): read_ts(path) for path in files}
    sides = sides_of_paths(parsed)
    given = {"train", "test"} <= set(sides.values())
    first = next(iter(parsed.values()))
    cases = Cases([], [], [], False, ["the last field of each case is its label"])
    for path, file in parsed.items():
        if file.cases[0].shape[1] != first.cases[0].shape[1]:
            raise DataError(
                f"{path} has {counted(file.cases[0].shape[1], 'channel')} but {next(iter(parsed))} has "
                f"{first.cases[0].shape[1]}; upload files of one data set only."
            )
        labels = _labels(file, path, cases)
        cases.series += file.cases
        cases.samples += [
            Sample(f"{path}, line {line}", (label,), sides[path] if given else None)
            for line, label in zip(file.lines, labels, strict=True)
        ]
    used = {sample.labels[0] for sample in cases.samples}
    cases.label_names = [name for name in first.classes if name in used]
    cases.label_names += sorted(used - set(cases.label_names), key=lambda name: (name[:2] == "> ", natural(name)))
    if given:
        cases.why.append("the split into train and test is given by the names of the files")
    if any(file.has_timestamps for file in parsed.values()):
        what = "time stamps are not used: steps count as equally far apart"
        cases.doubts.append(Doubt(what, "resample the series if their steps differ much", "", "info"))
    return cases


def _labels(file: TsFile, path: str, cases: Cases) -> list[str]:
    """The label of each case; a regression target is cut at its median, as the challenge does."""
    bad = next((line for line, label in zip(file.lines, file.labels, strict=True) if not label), None)
    if bad is not None:
        raise DataError(f"line {bad} of {path} has no label; set @classLabel true and end each case with its class.")
    labels = [label or "" for label in file.labels]
    if not file.is_regression:
        return labels
    values = [parse_number(label) for label in labels]
    if None in values:
        raise DataError(f"line {file.lines[values.index(None)]} of {path} has a target that is no number; correct it.")
    median = float(np.median([value for value in values if value is not None]))
    what = f"the target of {path} is a quantity; it was cut at its median {median:g} into two classes"
    cases.doubts.append(Doubt(what, "group the values into classes before the upload", path))
    return [f"> {median:g}" if value is not None and value > median else f"≤ {median:g}" for value in values]


def _read_columns(upload: TableUpload, options: Options) -> Cases:
    target = choose(upload.table, upload.columns, options.target)
    labels = read_labels(upload.table, upload.columns, target)
    channels = series_channels(upload, target.columns)
    if not channels:
        features = [c for c in upload.columns if c.name not in target.columns and c.numbers and c.type != "id"]
        channels = [[column.name for column in features]]
    if len(channels[0]) < 2:
        raise DataError(f"{upload.table.file_name} has fewer than two columns of numbers; a series needs one per step.")
    kept = [i for i, row in enumerate(labels.rows) if row is not None]
    used = {name for names in channels for name in names}
    cells = [[upload.table.column(name) for name in names] for names in channels]
    decimal_comma = any(column.decimal_comma for column in upload.columns if column.name in used)
    series = _stack(cells, decimal_comma)
    steps, ends = f"{len(channels[0]):,} steps", f"{channels[0][0]!r} to {channels[-1][-1]!r}"
    return Cases(
        series=[series[i] for i in kept],
        samples=[Sample(upload.sources[i], labels.rows[i] or (), upload.sides[i]) for i in kept],
        label_names=labels.names,
        multi_label=labels.multi_label,
        why=[
            target.why,
            f"the columns {ends} are the {steps} of {counted(len(channels), 'channel')}",
            *upload.why,
        ],
        doubts=target.doubts + labels.doubts,
        recipe={
            "series_columns": channels,
            "decimal_comma": decimal_comma,
            "table": layout(upload.table, target.columns),
        },
        write_raw=lambda picks, folder: write_new_rows(upload.table, target.columns, [kept[i] for i in picks], folder),
        about={
            "columns": [_describe(column, target.columns) for column in upload.columns if column.name not in used],
            "ignored": upload.ignored,
            "target": ",".join(target.columns),
            "target_candidates": [name for name in target.candidates if name not in used],
        },
    )


def _stack(cells: Sequence[Sequence[list[str]]], decimal_comma: bool) -> np.ndarray:
    """Cells by channel, step and row -> (N, T, C) float64; NaN where a cell is no number."""
    values = [
        np.stack([np.array([parse_number(cell, decimal_comma) for cell in column], float) for column in steps])
        for steps in cells
    ]
    return np.stack(values).transpose(2, 1, 0)


def _describe(column: Column, target: tuple[str, ...]) -> dict[str, Any]:
    if column.name in target:
        return describe(column, "target")
    return describe(column, "ignored", column.why_ignored or "only the series is used")


def encode(recipe: dict[str, Any], source: Path) -> tuple[list[str], Examples]:
    """New series: .ts files (labels are ignored), or a CSV laid out as the training data, else see ``_new_rows``."""
    spec = spec_of(recipe)
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    names: list[str] = []
    series: list[np.ndarray] = []
    ts_files = [path for path in files if path.suffix.lower() == ".ts"]
    for path in ts_files:
        parsed = read_ts(path)
        series += parsed.cases
        names += [f"{path.name}, line {line}" for line in parsed.lines]
    if not ts_files and "series_columns" in recipe:
        channels = recipe["series_columns"]
        names, flat = read_new_rows(source, recipe["table"], [name for channel in channels for name in channel])
        steps = len(channels[0])
        series = list(_stack([flat[at : at + steps] for at in range(0, len(flat), steps)], recipe["decimal_comma"]))
    elif not ts_files:
        names, series = _new_rows(source, spec.num_channels)
    cleaned = [clean(case, name) for case, name in zip(series, names, strict=True)]
    for case, name in zip(cleaned, names, strict=True):
        _check_shape(case, name, spec)
    steps_of = [case.reshape(-1, 1, 1, spec.num_channels) for case in cleaned]
    return names, MemoryExamples(spec.with_count(len(names)), steps_of)


def _check_shape(case: np.ndarray, name: str, spec: Spec) -> None:
    if case.shape[1] != spec.num_channels:
        raise DataError(
            f"the series of {name} has {counted(case.shape[1], 'channel')} but the model learned from "
            f"{spec.num_channels}; give the same channels in the same order."
        )
    if spec.sequence_size not in (VARIABLE, len(case)):
        raise DataError(
            f"the series of {name} has {len(case):,} steps but the model learned from {spec.sequence_size:,}; "
            "cut or resample it to that length."
        )


def _new_rows(source: Path, channels: int) -> tuple[list[str], list[np.ndarray]]:
    """A CSV for a model of .ts files: with one channel a row is a series; with several, the file is one series."""
    names: list[str] = []
    series: list[np.ndarray] = []
    for path in table_paths(source):
        table = read_table(path)
        columns = _number_columns(table)
        if channels == 1 and len(columns) > 1:
            series += list(_stack([columns], False))
            names += [f"{path.name}, row {number}" for number in range(1, len(table.rows) + 1)]
        else:
            series.append(_stack([[column] for column in columns], False)[:, 0])  # a row is a step
            names.append(path.name)
    if not names:
        raise DataError(f"{source.name} holds no series; give a .ts file or a CSV.")
    return names, series


def _number_columns(table: RawTable) -> list[list[str]]:
    columns = [profile(name, table.column(name), table.delimiter) for name in table.columns]
    return [table.column(column.name) for column in columns if column.numbers]
