"""One file a series: the class is its folder, or a table names each file (or its number) with a label."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Evidence, Options, Sample, Side
from formatters.media.beside import NO_TABLE
from formatters.media.file_index import FileIndex
from formatters.media.label_table import FileLabels, file_column, read_labels
from formatters.media.order import files_below, natural
from formatters.series.cases import Cases, stack
from formatters.split_words import sides_of
from formatters.tables.files import OTHER_DATA
from formatters.tables.reader import TABLE_SUFFIXES, RawTable, read_table

SUFFIXES = (*TABLE_SUFFIXES, ".txt")
MIN_FILES = 4
MIN_STEPS = 5
MIN_SHARE = 0.8  # of the files that have the same columns
TIME_NAME = re.compile(r"#?\s*(time|time[_ ]?stamp|t|date|datetime|step|time[_ ]?step|tick|frame|index)\b.*", re.I)


def sniff(root: Path, options: Options) -> Evidence | None:
    paths = _paths(root)
    picks = [paths[i] for i in np.linspace(0, len(paths) - 1, 8).round().astype(int)] if len(paths) >= MIN_FILES else []
    looked = [_numeric_table(root / path) for path in picks]  # cheap: an upload of prose is left at once
    if not picks or sum(table is not None for table in looked) < MIN_SHARE * len(picks):
        return None
    tables, others = _tables(root)
    if not tables or not _labels(root, tables, others, options):
        return None
    return Evidence(0.96, [f"{len(tables):,} files of numbers with the same columns hold a series each"])


def _paths(root: Path) -> list[str]:
    paths = files_below(root)
    if any(OTHER_DATA.fullmatch(path) for path in paths):
        return []
    return [p for p in paths if p.lower().endswith(SUFFIXES) and not Path(p).stem.lower().startswith(NO_TABLE)]


def _numeric_table(path: Path) -> RawTable | None:
    """The table if all its cells are numbers (a time may be a date) and it has enough rows."""
    try:
        table = read_table(path)
    except DataError:  # prose is a ragged table; such a file is no recording
        return None
    names = [name for name in table.columns if not TIME_NAME.fullmatch(name)] or table.columns
    cells = [[table.column(name) for name in names]]
    known = np.isfinite(stack(cells, table.delimiter == ";")).mean()
    return table if len(table.rows) >= MIN_STEPS and known > 0.5 else None


def _tables(root: Path) -> tuple[dict[str, RawTable], list[str]]:
    stamp = tuple((root / path).stat().st_mtime_ns for path in _paths(root))
    return _read_tables(root, stamp)


@lru_cache(maxsize=1)
def _read_tables(root: Path, stamp: tuple[int, ...]) -> tuple[dict[str, RawTable], list[str]]:
    """(the recordings by path, the other files); nothing where most files have other columns."""
    paths = _paths(root)
    read = {path: table for path in paths if (table := _numeric_table(root / path))}
    columns = Counter(tuple(table.columns) for table in read.values()).most_common(1)
    same = {path: table for path, table in read.items() if columns and tuple(table.columns) == columns[0][0]}
    others = [path for path in paths if path not in same]
    return (same if len(same) >= max(MIN_FILES, MIN_SHARE * len(paths)) else {}), others


def _labels(root: Path, tables: dict[str, RawTable], others: list[str], options: Options) -> FileLabels | None:
    """A table of labels, else class folders with at least two files each."""
    for path in others:
        try:
            table = read_table(root / path)
        except DataError:  # prose beside the recordings
            continue
        index = FileIndex(list(tables))
        at = file_column(table, index)
        if at is None:
            table, at = _by_number(table, list(tables))
        found = read_labels(table, at, path, index, options.target) if at is not None else None
        if found:
            return found
    return None if options.target else _by_folder(list(tables))


def _by_number(table: RawTable, paths: list[str]) -> tuple[RawTable, int | None]:
    """Numbers in place of names: "7" means the one file whose name ends in 7."""
    numbers = {match[1].lstrip("0") or "0": path for path in paths if (match := re.search(r"(\d+)$", Path(path).stem))}
    if len(numbers) < len(paths):
        return table, None
    for at, name in enumerate(table.columns):
        cells = table.column(name)
        if len(set(cells)) == len(cells) and all((cell.lstrip("0") or "0") in numbers for cell in cells):
            rows = [[*row[:at], numbers[row[at].lstrip("0") or "0"], *row[at + 1 :]] for row in table.rows]
            return replace(table, rows=rows), at
    return table, None


def _by_folder(paths: list[str]) -> FileLabels | None:
    folders = {path: path.split("/")[:-1] for path in paths}
    sides: dict[str, Side] = {}
    for depth in range(min(map(len, folders.values()))):
        words = {path: parts[depth] for path, parts in folders.items()}
        known = sides_of(set(words.values()))
        if all(word in known for word in words.values()):
            sides = {path: known[word] for path, word in words.items()}
            continue
        counts = Counter(words.values())
        if len(counts) > 1 and min(counts.values()) > 1:
            return FileLabels({p: (word,) for p, word in words.items()}, None, False, "", [], sides)
    return None


def read(root: Path, options: Options) -> Cases:
    tables, others = _tables(root)
    found = _labels(root, tables, others, options)
    if not found:
        raise DataError("the files hold a series each, but no labels; sort them into a folder for each class.")
    kept = [path for path in tables if found.labels.get(path)]
    names = _channels(list(tables.values()))
    unlabelled = [{"path": path, "why": "it has no label"} for path in tables if path not in set(kept)]
    given = set(found.sides.values()) == {"train", "test"}
    return Cases(
        [_values(tables[path], names) for path in kept],
        [
            Sample(path, found.labels[path], found.sides.get(path) if given else None, found.groups.get(path))
            for path in kept
        ],
        found.label_order or sorted({label for path in kept for label in found.labels[path]}, key=natural),
        found.multi_label,
        [f"each file is a series; its label is {found.target or 'the name of its folder'}"],
        found.doubts,
        {"layout": "recordings", "channels": names},
        about={"target": found.target or None, "target_candidates": found.candidates, "ignored": unlabelled},
    )


def _channels(tables: list[RawTable]) -> list[str]:
    """All columns but the time."""
    names = tables[0].columns
    return [name for name in names if not TIME_NAME.fullmatch(name)] or names


def _values(table: RawTable, names: list[str]) -> np.ndarray:
    return stack([[table.column(name) for name in names]], table.delimiter == ";")[:, :, 0]


def encode(recipe: dict[str, Any], source: Path) -> tuple[list[str], list[np.ndarray]]:
    """Each file is a series; its columns are those of the training data, in any order."""
    files = [source] if source.is_file() else [source / path for path in _paths(source)]
    names, series = [], []
    for path in files:
        table = read_table(path)
        missing = [name for name in recipe["channels"] if name not in table.columns]
        if missing:
            raise DataError(f"{path.name} lacks the column {missing[0]!r}; give the columns of the training data.")
        names.append(path.name)
        series.append(_values(table, recipe["channels"]))
    return names, series
