"""One CSV, three readings: a table of features, a text a row, or a time series a row.

judge(root, options) -> {modality: Evidence}; the reasons are fit for the report.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Evidence, Options
from formatters.labels.target import choose
from formatters.split_words import is_split_name
from formatters.tables.columns import Column, holds_lists, mean_chars, names_files, parse_number
from formatters.tables.files import TableUpload, load
from formatters.tables.header import NUMBER, are_years, axis_value, is_axis

SOURCE = re.compile(r", row \d+$")
MAX_DIGITS = 9  # of the number of a column
TIME_PREFIXES = frozenset(
    ["t", "ts", "time", "timestep", "step", "tick", "sample", "lag", "sec", "ms", "hour", "day", "week", "month"]
)
PIXEL_PREFIXES = ("pixel", "pix", "px")
MIN_TIMED_COLUMNS = 8
MIN_SMOOTH_COLUMNS = 24
MAX_ROUGHNESS = 0.4  # von Neumann's ratio: 2 for independent features, near 0 for smooth curves
SMOOTHNESS_ROWS = 200
LONG_TEXT_CHARS = 200
MAX_OTHERS_BESIDE_TEXT = 2
SENTENCE_CHARS = 40
MAX_TALLY_VALUES = 20


def judge(root: Path, options: Options) -> dict[str, Evidence]:
    """How well each reading fits; {} when the upload holds no table.

    Raises:
        DataError: a table is there and cannot be read.
    """
    upload = load(root)
    return {} if upload is None else _judge(upload, options)


@lru_cache(maxsize=1)  # each of the three kinds asks
def _judge(upload: TableUpload, options: Options) -> dict[str, Evidence]:
    target = _target_names(upload, options)
    features = [column for column in upload.columns if column.name not in target]
    usable = [column for column in features if not column.why_ignored]
    rows, count = f"{len(upload.table.rows):,} rows", len(upload.columns)
    channels = series_channels(upload, target)
    if channels:
        timed, names = _is_timed(channels), channels[0]
        why = f"{len(channels) * len(names)} numbered columns ({names[0]} to {channels[-1][-1]}) hold a series a row"
        if not timed:
            why = f"{len(names)} neighbouring number columns are the steps of a series"
        return {
            "timeseries": Evidence(0.95 if timed else 0.7, [why]),
            "tabular": Evidence(0.4, [f"a table of {rows} and {count} columns"]),
        }
    texts = text_columns(features)
    tabular = Evidence(0.8, [f"a table of {rows} and {count} columns, {len(usable)} of them useful as features"])
    if not texts:
        return {"tabular": tabular}
    long = max(mean_chars(column.counts) for column in texts)
    hold = "hold" if len(texts) > 1 else "holds"
    why = f"a table of {rows}; {_columns(texts)} {hold} text of about {long:.0f} characters"
    tallies = long >= SENTENCE_CHARS and all(column in texts or _is_tally(column) for column in usable)
    others = [column for column in usable if long < SENTENCE_CHARS or not _tells_which_row(column)]
    if tallies or len(others) <= MAX_OTHERS_BESIDE_TEXT:
        return {"text": Evidence(0.9, [why]), "tabular": Evidence(0.3, tabular.reasons)}
    if long >= LONG_TEXT_CHARS:
        return {"text": Evidence(0.85, [f"{why}, more than the other columns say"]), "tabular": tabular}
    return {"tabular": tabular, "text": Evidence(0.3, [why])}


def _tells_which_row(column: Column) -> bool:
    """A moment, or a number of its own for each row, as posts and reviews have."""
    whole = all(value.is_integer() for value in column.numbers.values())
    return column.type == "date" or (bool(column.numbers) and whole and column.distinct == column.present)


def _is_tally(column: Column) -> bool:
    """Small whole numbers, as of votes or likes for a text."""
    values = set(column.numbers.values())
    whole = all(value >= 0 and value.is_integer() for value in values)
    return column.type == "number" and whole and len(values) <= MAX_TALLY_VALUES


def _columns(columns: Sequence[Column]) -> str:
    names = ", ".join(repr(column.name) for column in columns)
    return f"column{'s' if len(columns) > 1 else ''} {names}"


def _target_names(upload: TableUpload, options: Options) -> Collection[str]:
    try:
        return choose(upload.table, upload.columns, options.target).columns
    except DataError:  # told when the table is read; which kind it is can be said all the same
        return ()


def text_columns(features: Sequence[Column]) -> list[Column]:
    """Free text; where there is nothing else to learn from, also short strings that differ from row to row."""
    texts = [column for column in features if column.type == "text"]
    if texts or any(not column.why_ignored for column in features):
        return texts
    words = [
        c
        for c in features
        if not c.numbers
        and c.distinct > 1
        and not holds_lists(c.counts)
        and not names_files(c.counts)
        and not is_split_name(c.name)
    ]
    return sorted(words, key=lambda column: -mean_chars(column.counts))[:1]


def series_channels(upload: TableUpload, target: Collection[str]) -> list[list[str]]:
    """The columns of each channel in order of time; [] when the rows are no series."""
    numeric = [c for c in upload.columns if c.name not in target and c.numbers and c.type in ("number", "boolean")]
    known = set(numeric)
    others = [c for c in upload.columns if c.name not in target and c not in known and not c.why_ignored]
    if len(numeric) < MIN_TIMED_COLUMNS or len(others) > 2:
        return []
    if _is_of_ucr(upload, target, numeric):
        return [[column.name for column in numeric]]
    channels = _numbered_channels([column.name for column in numeric])
    if not channels or len(channels) * len(channels[0]) < 0.9 * len(numeric):
        return []
    if _is_timed(channels):
        return channels
    if len(channels[0]) < MIN_SMOOTH_COLUMNS or not _numbered_prefix(channels[0][0]).isascii():
        return []
    if _rows_standardised(upload, [name for names in channels for name in names]):
        return channels
    return channels if all(_roughness(upload, names) < MAX_ROUGHNESS for names in channels) else []


def _is_of_ucr(upload: TableUpload, target: Collection[str], numeric: Sequence[Column]) -> bool:
    """NAME_TRAIN and NAME_TEST without a header, a class and then fractions in each row: so that archive has series."""
    names = {SOURCE.split(source)[0] for source in (upload.sources[0], upload.sources[-1])}
    stems = {Path(name).stem for name in names}
    of_one = {stem.removesuffix("_TRAIN").removesuffix("_TEST") for stem in stems}
    named = len(stems) == 2 and len(of_one) == 1 and not of_one & stems
    whole = sum(all(value.is_integer() for value in column.numbers.values()) for column in numeric)
    bare = not upload.table.has_header and list(target) == upload.table.columns[:1]
    return named and bare and 2 * whole < len(numeric) >= MIN_SMOOTH_COLUMNS


def _rows_standardised(upload: TableUpload, names: list[str]) -> bool:
    """Each row has mean 0 and deviation 1, as the UCR archive writes series; features are scaled by column."""
    at = [upload.table.places[name] for name in names]
    stride = max(1, len(upload.table.rows) // SMOOTHNESS_ROWS)
    values = np.array([[parse_number(row[i]) for i in at] for row in upload.table.rows[::stride]], float)
    even = (np.abs(values.mean(1)) < 0.01) & (np.abs(values.std(1) - 1) < 0.03)
    return bool(even.mean() > 0.95)


def _numbered_prefix(name: str) -> str:
    return _numbered(name)[0].lower()


def _numbered(name: str) -> tuple[str, int | None]:
    """("x", 12) of "x_12", and ("", None) of a name without a number; linear, where a pattern would not be."""
    bare = name.rstrip("0123456789")
    digits = name[len(bare) :]
    return (bare.rstrip("_ \t.:-"), int(digits)) if 0 < len(digits) <= MAX_DIGITS else ("", None)


def _numbered_channels(names: list[str]) -> list[list[str]]:
    """Names that share a prefix and count up, by prefix; all of one length."""
    axis = [name for name in names if axis_value(name) is not None]
    if _is_axis_of_units(axis):
        return [axis]
    groups: dict[str, dict[int, str]] = {}
    for name in names:
        prefix, number = _numbered(name)
        if number is not None and not prefix.lower().startswith(PIXEL_PREFIXES):
            groups.setdefault(prefix, {})[number] = name
    runs = [group for group in groups.values() if max(group) - min(group) + 1 == len(group) >= MIN_TIMED_COLUMNS]
    if not runs or len({len(group) for group in runs}) > 1:
        return []
    return [[group[number] for number in sorted(group)] for group in runs]


def _is_axis_of_units(names: list[str]) -> bool:
    """A header of times, dates, years or wavelengths, rather than 0, 1, 2, ..., which may number anything."""
    if not is_axis(names) or not all(map(NUMBER.fullmatch, names)):
        return is_axis(names)
    return are_years(names) or abs(float(names[1]) - float(names[0])) != 1


def _is_timed(channels: list[list[str]]) -> bool:
    if len(channels) == 1 and _is_axis_of_units(channels[0]):
        return True
    return all(_numbered_prefix(names[0]).rpartition("_")[2] in TIME_PREFIXES for names in channels)


def _roughness(upload: TableUpload, names: list[str]) -> float:
    """Median over rows of sum (x[t+1]-x[t])^2 / sum (x[t]-mean)^2 (von Neumann 1941), columns standardised."""
    places = {name: place for place, name in enumerate(upload.table.columns)}
    at = [places[name] for name in names]
    stride = max(1, len(upload.table.rows) // SMOOTHNESS_ROWS)
    cells = [[parse_number(row[i]) for i in at] for row in upload.table.rows[::stride]]
    values = np.array(cells, float)
    values = np.nan_to_num((values - np.nanmean(values, 0)) / (np.nanstd(values, 0) + 1e-12))
    spread = ((values - values.mean(1, keepdims=True)) ** 2).sum(1)
    return float(np.median((np.diff(values, axis=1) ** 2).sum(1) / (spread + 1e-12)))
