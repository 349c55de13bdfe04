"""A long table: a row a step, with the series' id, the step, values, and a label that is constant in each series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Sample
from formatters.labels.row_labels import read_labels
from formatters.labels.target import choose
from formatters.series.cases import Cases, flaw, stack, strange_cells, uses_decimal_comma
from formatters.tables.columns import profile
from formatters.tables.files import TableUpload, groups_of, load
from formatters.tables.new_rows import for_each_file, left_out
from formatters.tables.reader import RawTable, read_with_findings

MIN_SERIES = 4
MIN_STEPS = 5
MAX_PLACE = 3  # id and step stand among the first columns


@dataclass(frozen=True)
class Long:
    """The id and step columns, the first row of each series (and the end), columns constant in each, and the others."""

    names: tuple[str, str]
    starts: list[int]
    constant: list[str]
    values: list[str]


def sniff(root: Path, options: Options) -> Evidence | None:
    upload = load(root)
    found = _find(upload) if upload else None
    if not found:
        return None
    return Evidence(
        0.96, [f"{found.names[0]!r} names {len(found.starts) - 1:,} series, {found.names[1]!r} their steps"]
    )


def _starts(cells: list[str]) -> list[int]:
    return [0, *(i for i in range(1, len(cells)) if cells[i] != cells[i - 1]), len(cells)]


def _find(upload: TableUpload) -> Long | None:
    """Ids in one block each, in which a step counts up by one from the same start."""
    names = upload.table.columns[:MAX_PLACE]
    numbers = {column.name: column.numbers for column in upload.columns}
    for key in names:
        starts = _starts(upload.table.column(key))
        lengths = np.diff(starts)
        ids = {upload.table.column(key)[start] for start in starts[:-1]}
        if not (MIN_SERIES <= len(ids) == len(lengths)) or lengths.min() < 2 or lengths.mean() < MIN_STEPS:
            continue
        for step in names:
            cells = [numbers[step].get(cell, np.nan) for cell in upload.table.column(step)]
            first = cells[0]
            wanted = np.concatenate([np.arange(length) for length in lengths])
            if step == key or first not in (0, 1) or not np.array_equal(np.array(cells) - first, wanted):
                continue
            others = [name for name in upload.table.columns if name not in (key, step)]
            constant = [name for name in others if set(_starts(upload.table.column(name))) <= set(starts)]
            values = [name for name in others if name not in constant and numbers[name]]
            if constant and len(constant) + len(values) == len(others) and values:
                return Long((key, step), starts, constant, values)
    return None


def read(root: Path, options: Options) -> Cases:
    upload = load(root)
    found = _find(upload) if upload else None
    if upload is None or found is None:
        raise DataError("the upload holds no long table of series; give id, step, values and label columns.")
    firsts = found.starts[:-1]
    kept = [found.names[0], *found.constant]
    cells = [upload.table.column(name) for name in kept]
    table = replace(upload.table, columns=kept, rows=[[column[row] for column in cells] for row in firsts])
    columns = [profile(name, table.column(name), table.delimiter) for name in kept]
    target = choose(table, columns, options.target)
    labels = read_labels(table, columns, target, options.label_cuts)
    series = _cut(upload.table, found.values, found.starts)
    known = [i for i, row in enumerate(labels.rows) if row is not None]
    return Cases(
        [series[i] for i in known],
        [Sample(f"series {cells[0][firsts[i]]}", labels.rows[i] or (), upload.sides[firsts[i]]) for i in known],
        labels.names,
        labels.multi_label,
        Findings(
            [target.why, f"a row is a step of the series that {found.names[0]!r} names", *upload.why],
            upload.doubts_for(target.columns) + target.doubts + labels.doubts,
            upload.ignored,
            target=",".join(target.columns),
        ),
        {"layout": "long", "id": found.names[0], "channels": found.values, "packages": upload.packages},
        groups=groups_of(upload, target.columns, [firsts[i] for i in known]),
    )


def _cut(table: RawTable, names: list[str], starts: list[int]) -> list[np.ndarray]:
    columns = [table.column(name) for name in names]
    values = stack([[column] for column in columns], uses_decimal_comma(columns, table.delimiter))[:, 0]
    return np.split(values, starts[1:-1])


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """Long tables as the training data, without need of the label."""

    def read(path: Path, name: str) -> None:
        table, findings = read_with_findings(path)
        missing = [column for column in (recipe["id"], *recipe["channels"]) if column not in table.columns]
        if missing:
            raise DataError(f"{path.name} lacks the column {missing[0]!r}; give the columns of the training data.")
        ids = table.column(recipe["id"])
        starts = _starts(ids)
        cells = [table.column(column) for column in recipe["channels"]]
        for start, case in zip(starts, _cut(table, recipe["channels"], starts), strict=False):
            strange = strange_cells([column[start : start + len(case)] for column in cells], case)
            problem = flaw([*chain(*strange.values())])
            new.add(f"{name}, series {ids[start]}" if name else f"series {ids[start]}", case, problem)
        new.notes += left_out(findings, path.name)

    for_each_file(new, source, read)
