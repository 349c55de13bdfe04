"""What cells of a table mean only together with others: their unit, the cell above, how many samples they count."""

from __future__ import annotations

import math
import re

from formatters.base import Doubt
from formatters.labels.target import Target
from formatters.tables.columns import Column
from formatters.tables.files import TableUpload
from formatters.tables.numbers import are_quantities, is_unit, mixed_signs

UNIT_NAME = re.compile(r"(.*[_\s.])?(units?|einheit|unité|unidad|единица|单位)", re.IGNORECASE)
FREQUENCY = re.compile(r"freq(uency|uencies)?|counts?|n|weights?|häufigkeit|anzahl|effectif|frecuencia", re.IGNORECASE)
MIN_GRID_ROWS = 8


def cell_doubts(upload: TableUpload, target: Target, features: list[Column]) -> list[Doubt]:
    others = [column for column in upload.columns if column.name not in target.columns]
    found = [*map(_mixed, features), *map(_quantities, others), *map(_units, others)]
    found += [*(_filled_once(column, upload) for column in upload.columns), _counts(upload)]
    return [doubt for doubt in found if doubt]


def _mixed(column: Column) -> Doubt | None:
    mixed = mixed_signs(column.numbers)
    if not mixed:
        return None
    what = f"column {column.name!r} mixes {mixed[0]!r} and {mixed[1]!r}, which were read as plain numbers"
    return Doubt(what, "write all its cells in one unit", column.name)


def _quantities(column: Column) -> Doubt | None:
    if column.type not in ("category", "id") or not are_quantities(column.counts):
        return None
    held = f"quantities such as {next(iter(column.counts))!r}"
    what = f"column {column.name!r} holds {held}, which were read as words, not as numbers"
    return Doubt(what, "write each as a plain number, all in one unit", column.name)


def _units(column: Column) -> Doubt | None:
    known = list(filter(is_unit, column.counts)) if UNIT_NAME.fullmatch(column.name) else []
    if not 1 < len(known) > len(column.counts) / 2:
        return None
    several = f"several units, such as {known[0]!r} and {known[1]!r}"
    what = f"column {column.name!r} tells {several}, but numbers are read without their unit"
    return Doubt(what, "write all numbers of a column in one unit, and each quantity in a column", column.name)


def _filled_once(column: Column, upload: TableUpload) -> Doubt | None:
    each_once = 1 < column.present == len(column.counts) < column.missing and not column.numbers
    if not each_once or upload.table.column(column.name)[0] not in column.counts:
        return None
    what = f"column {column.name!r} is filled in {column.present:,} times and empty below each, as if that meant the "
    what += "same; here empty cells are missing values"
    return Doubt(what, "fill in every row", column.name)


def _counts(upload: TableUpload) -> Doubt | None:
    counts = [column for column in upload.columns if FREQUENCY.fullmatch(column.name)]
    others = [column.distinct for column in upload.columns if column not in counts]
    is_grid = len(others) > 1 and math.prod(others) == len(upload.table.rows) >= MIN_GRID_ROWS
    if len(counts) != 1 or not counts[0].numbers or not is_grid:
        return None
    what = (
        f"each row is another combination of values, as if column {counts[0].name!r} told how many samples it stands "
    )
    what += "for; here it is a column like the others, and each row one sample"
    return Doubt(what, "write a row for each sample", counts[0].name)
