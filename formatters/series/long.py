"""A long table: a row a step, with the series' id, perhaps the step or its time, values, and a label a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Sample
from formatters.groups import is_group_name
from formatters.labels.row_labels import read_labels
from formatters.labels.target import choose, is_label
from formatters.series.cases import TIME_NAME, Cases, flaw, roughness, stack, strange_cells, uses_decimal_comma
from formatters.tables.columns import Column, profile
from formatters.tables.files import TableUpload, groups_of, load
from formatters.tables.new_rows import for_each_file, left_out
from formatters.tables.reader import RawTable, read_with_findings

MIN_SERIES = 4
MIN_STEPS = 5
MAX_PLACE = 3  # id and step stand among the first columns, unless the id is named so
SERIES_NAMES = frozenset(["series", "sequence", "sample", "trial", "recording", "segment", "window", "episode", "run"])
MAX_CODES = 10
MAX_ROUGHNESS = 1.0  # of values without a step; 2 for rows in any order


@dataclass(frozen=True)
class Long:
    """The id and step columns ("": none), rows in order, where each series starts (and the end), and what columns hold.

    ``constant``: columns that do not change within a series; ``values``: its channels.
    """

    key: str
    step: str
    order: np.ndarray
    starts: list[int]
    constant: list[str]
    values: list[str]
    is_timed: bool


def sniff(root: Path, options: Options) -> Evidence | None:
    upload = load(root)
    found = _find(upload, options) if upload else None
    if not found:
        return None
    steps = f", {found.step!r} their steps" if found.step else ""
    return Evidence(0.96, [f"{found.key!r} names {len(found.starts) - 1:,} series{steps}"])


def _find(upload: TableUpload, options: Options) -> Long | None:
    """Rows that an id puts together, each with a step that goes up, or in blocks of smooth values."""
    columns = {column.name: column for column in upload.columns}
    names = [name for at, name in enumerate(upload.table.columns) if at < MAX_PLACE or _names_series(name)]
    for key in names:
        counts = columns[key].counts.values()
        if columns[key].missing or len(counts) < MIN_SERIES or min(counts) < 2 or sum(counts) < MIN_STEPS * len(counts):
            continue
        steps = [
            name
            for name in names
            if name != key and (_may_be_steps(columns[name], max(counts)) or _rises(upload, columns[name], key))
        ]
        for step in [*steps, *([""] if _names_series(key) else [])]:
            found = _read_as(upload, columns, key, step)
            if found and not any(name == options.target or is_label(name) for name in found.values):
                return found
    return None


def _may_be_steps(column: Column, longest: int) -> bool:
    """Is it a time, or could it count the steps of each series from 0 or 1?"""
    if column.type == "date" or (column.numbers and TIME_NAME.fullmatch(column.name)):
        return True
    values = set(column.numbers.values())
    return bool(values) and min(values) in (0, 1) and max(values) - min(values) + 1 == len(values) <= longest


def _rises(upload: TableUpload, column: Column, key: str) -> bool:
    """Do its numbers go up from row to row within each of the series, as a time of whatever name does?"""
    if not column.numbers or column.missing:
        return False
    ids, values = upload.table.column(key), upload.table.column(column.name)
    last: dict[str, float] = {}
    for one, cell in zip(ids, values, strict=True):
        if column.numbers[cell] <= last.get(one, -np.inf):
            return False
        last[one] = column.numbers[cell]
    return True


def _names_series(name: str) -> bool:
    return is_group_name(name) or bool(SERIES_NAMES & set(name.lower().split("_")))


def _read_as(upload: TableUpload, columns: dict[str, Column], key: str, step: str) -> Long | None:
    """The table with these id and step columns; None if they are none."""
    ids = list(zip((side or "" for side in upload.sides), upload.table.column(key), strict=True))
    places = _places(columns[step], upload.table.column(step)) if step else None
    order, starts = _grouped(ids, places)
    timed = bool(step) and (columns[step].type == "date" or bool(TIME_NAME.fullmatch(step)))
    is_timed = timed or (bool(step) and _rises(upload, columns[step], key))
    if places is not None and not _goes_up(places[order], starts, is_timed):
        return None
    others = [name for name in upload.table.columns if name not in (key, step) and columns[name].type != "id"]
    constant = [name for name in others if _is_constant(upload.table.column(name), order, starts)]
    values = [name for name in others if name not in constant and columns[name].numbers]
    if not constant or not values or len(constant) + len(values) < len(others):
        return None
    if others[-1] in values and columns[others[-1]].distinct <= MAX_CODES:  # rather the label of a row
        return None
    found = Long(key, step, order, starts, constant, values, bool(step) and columns[step].type == "date")
    return found if step or _in_smooth_blocks(upload.table, found) else None


def _places(column: Column, cells: list[str]) -> np.ndarray:
    """Each row's place in time; NaN where it has none."""
    values = column.numbers or {cell: moment.timestamp() for cell, moment in column.moments.items()}
    return np.array([values.get(cell, np.nan) for cell in cells])


def _grouped(ids: Sequence[object], places: np.ndarray | None) -> tuple[np.ndarray, list[int]]:
    """(the rows by id in order of appearance, and by place within, where each id starts and the end)."""
    numbers: dict[object, int] = {}
    of_row = np.array([numbers.setdefault(key, len(numbers)) for key in ids], int)
    order = np.lexsort((np.arange(len(of_row)) if places is None else places, of_row))
    return order, [0, *np.cumsum(np.bincount(of_row)).tolist()]


def _goes_up(places: np.ndarray, starts: list[int], is_timed: bool) -> bool:
    """Do they count from the same 0 or 1 in each series, or are they times that never come twice in one?"""
    counted_up = np.concatenate([np.arange(length) for length in np.diff(starts)])
    if places[0] in (0, 1) and np.array_equal(places - places[0], counted_up):
        return True
    steps = np.delete(np.diff(places), np.array(starts[1:-1], int) - 1)
    return is_timed and bool((steps > 0).all())


def _is_constant(cells: list[str], order: np.ndarray, starts: list[int]) -> bool:
    return all(len({cells[row] for row in order[a:b]}) == 1 for a, b in pairwise(starts))


def _in_smooth_blocks(table: RawTable, found: Long) -> bool:
    """Does each series stand in one block, and do its values follow one another as measurements do?"""
    if not np.array_equal(found.order, np.arange(len(found.order))):
        return False
    cases = _cut(table, found.values, found.order, found.starts)
    return float(np.median([roughness(case) for case in cases])) < MAX_ROUGHNESS


def read(root: Path, options: Options) -> Cases:
    upload = load(root)
    found = _find(upload, options) if upload else None
    if upload is None or found is None:
        raise DataError("the upload holds no long table of series; give id, step, values and label columns.")
    firsts = [int(row) for row in found.order[found.starts[:-1]]]
    kept = [found.key, *found.constant]
    cells = [upload.table.column(name) for name in kept]
    table = replace(upload.table, columns=kept, rows=[[column[row] for column in cells] for row in firsts])
    columns = [profile(name, table.column(name), table.delimiter) for name in kept]
    target = choose(table, columns, options.target)
    labels = read_labels(table, columns, target, options.label_cuts)
    series = _cut(upload.table, found.values, found.order, found.starts)
    known = [i for i, row in enumerate(labels.rows) if row is not None]
    doubts = upload.doubts_for(target.columns) + target.doubts + labels.doubts
    if found.is_timed:
        what = f"the times of column {found.step!r} order the rows, but steps count as equally far apart"
        doubts.append(Doubt(what, "resample the series if their steps differ much", found.step, "info"))
    return Cases(
        [series[i] for i in known],
        [Sample(f"series {cells[0][firsts[i]]}", labels.rows[i] or (), upload.sides[firsts[i]]) for i in known],
        labels.names,
        labels.multi_label,
        Findings(
            [target.why, f"a row is a step of the series that {found.key!r} names", *upload.why],
            doubts,
            upload.ignored,
            target=",".join(target.columns),
        ),
        {
            "layout": "long",
            "id": found.key,
            "step": found.step,
            "channels": found.values,
            "packages": upload.packages,
        },
        groups=groups_of(upload, target.columns, [firsts[i] for i in known]),
    )


def _cut(table: RawTable, names: list[str], order: np.ndarray, starts: list[int]) -> list[np.ndarray]:
    columns = [table.column(name) for name in names]
    values = stack([[column] for column in columns], uses_decimal_comma(columns, table.delimiter))[:, 0]
    return np.split(values[order], starts[1:-1])


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """Long tables as the training data, without need of the label."""
    step = recipe.get("step", "")

    def read(path: Path, name: str) -> None:
        table, findings = read_with_findings(path)
        missing = [column for column in (recipe["id"], *recipe["channels"]) if column not in table.columns]
        if missing:
            raise DataError(f"{path.name} lacks the column {missing[0]!r}; give the columns of the training data.")
        ids = table.column(recipe["id"])
        timed = step in table.columns  # else the rows stand in order
        places = _places(profile(step, table.column(step), table.delimiter), table.column(step)) if timed else None
        order, starts = _grouped(ids, places)
        cells = [table.column(column) for column in recipe["channels"]]
        for start, case in zip(starts, _cut(table, recipe["channels"], order, starts), strict=False):
            rows = order[start : start + len(case)]
            strange = strange_cells([[column[row] for row in rows] for column in cells], case)
            key = ids[rows[0]]
            new.add(f"{name}, series {key}" if name else f"series {key}", case, flaw([*chain(*strange.values())]))
        new.notes += left_out(findings, path.name)

    for_each_file(new, source, read)
