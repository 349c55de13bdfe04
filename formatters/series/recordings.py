"""One file a series: the class is its folder or in its name, or a table gives each file, or its number, a label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Sample, Side
from formatters.labels.cuts import cut
from formatters.labels.target import is_label
from formatters.media.beside import NO_TABLE
from formatters.media.file_index import FileIndex
from formatters.media.label_table import FileLabels, file_column, read_labels
from formatters.media.names import classes_in_names
from formatters.media.order import examples, files_below, natural
from formatters.series.cases import TIME_NAME, Cases, flaw, roughness, stack, strange_cells, uses_decimal_comma
from formatters.split_words import sides_of
from formatters.tables.files import OTHER_DATA
from formatters.tables.formats import ARROW, JSONS, packages_for
from formatters.tables.new_rows import for_each_file, left_out, left_out_doubts
from formatters.tables.reader import TABLE_SUFFIXES, RawTable, read_table, read_with_findings

TEXT_SUFFIXES = (*TABLE_SUFFIXES, ".txt")
MIN_FILES = 4
MIN_STEPS = 5
MIN_SHARE = 0.8  # of the files that have the same columns
MIN_KNOWN = 0.9  # of the cells of a channel that are numbers
MAX_ROUGHNESS = 1.5  # 2 for rows in any order


@dataclass(frozen=True)
class Recording:
    """A file as a series: (T, C) values, and the columns that are constant words (or a constant label)."""

    columns: tuple[str, ...]
    channels: tuple[str, ...]
    values: np.ndarray
    words: dict[str, str]
    evenly: bool  # its time column goes up in equal steps
    left_out: tuple[str, ...]  # lines


def sniff(root: Path, options: Options) -> Evidence | None:
    paths = _paths(root)
    picks = [paths[i] for i in np.linspace(0, len(paths) - 1, 8).round().astype(int)] if len(paths) >= MIN_FILES else []
    looked = [_recording(root / path) for path in picks]  # cheap: an upload of prose is left at once
    if not picks or sum(found is not None for found in looked) < MIN_SHARE * len(picks):
        return None
    recordings, others = _recordings(root)
    if not recordings or not _labels(root, recordings, others, options):
        return None
    return Evidence(0.96, [f"{len(recordings):,} files of numbers with the same columns hold a series each"])


def _paths(root: Path) -> list[str]:
    paths = files_below(root)
    if any(OTHER_DATA.fullmatch(path) for path in paths):
        return []
    named = [path for path in paths if not Path(path).stem.lower().startswith(NO_TABLE)]
    texts = [path for path in named if path.lower().endswith(TEXT_SUFFIXES)]
    if len(texts) >= MIN_FILES:  # JSON beside them is about them
        return texts
    return [path for path in named if path in texts or path.lower().endswith((*JSONS, *ARROW))]


def _recording(path: Path) -> Recording | None:
    """None unless every column holds numbers, is the time, or is constant."""
    try:
        table, findings = read_with_findings(path)
    except DataError:  # prose is a ragged table; such a file is no recording
        return None
    names = _without_time(table.columns)
    values = _values(table, names)
    known = np.isfinite(values).mean(axis=0) >= MIN_KNOWN
    words = {
        name: table.column(name)[0]
        for name, number in zip(names, known, strict=True)
        if (not number or is_label(name)) and len(set(table.column(name))) == 1
    }
    channels = [at for at, name in enumerate(names) if known[at] and name not in words]
    if len(table.rows) < MIN_STEPS or not channels or len(channels) + len(words) < len(names):
        return None
    times = [name for name in table.columns if name not in names and not name.lower().startswith("index")]
    steps = np.diff(_values(table, times[:1]).ravel()) if times else np.zeros(0)
    evenly = bool(len(steps)) and bool((steps > 0).all() and steps.max() < 1.5 * steps.min())
    channel_names = tuple(names[at] for at in channels)
    left_out = tuple(findings.left_out)
    return Recording(tuple(table.columns), channel_names, values[:, channels], words, evenly, left_out)


def _without_time(names: list[str]) -> list[str]:
    return [name for name in names if not TIME_NAME.fullmatch(name)] or names


def _values(table: RawTable, names: Sequence[str]) -> np.ndarray:
    columns = [table.column(name) for name in names]
    return stack([[column] for column in columns], uses_decimal_comma(columns, table.delimiter))[:, 0]


def _recordings(root: Path) -> tuple[dict[str, Recording], list[str]]:
    stamp = tuple((root / path).stat().st_mtime_ns for path in _paths(root))
    return _read_recordings(root, stamp)


@lru_cache(maxsize=1)
def _read_recordings(root: Path, stamp: tuple[int, ...]) -> tuple[dict[str, Recording], list[str]]:
    """(the recordings by path, the other files); nothing where most files have other columns."""
    paths = _paths(root)
    found = {path: recording for path in paths if (recording := _recording(root / path))}
    layouts = Counter((recording.columns, recording.channels) for recording in found.values()).most_common(1)
    layout = layouts[0][0] if layouts else None
    same = {path: one for path, one in found.items() if (one.columns, one.channels) == layout}
    others = [path for path in paths if path not in same]
    return (same if len(same) >= max(MIN_FILES, MIN_SHARE * len(paths)) else {}), others


def _ordered(recordings: Collection[Recording]) -> bool:
    """Do the rows follow one another as measurements do?  Those of a table cut into parts come in any order."""
    first = next(iter(recordings))
    if any(map(is_label, first.channels)):  # it varies within files, so a row is a sample
        return False
    if len(_without_time(list(first.columns))) == 1 or all(recording.evenly for recording in recordings):
        return True
    return float(np.median([roughness(recording.values) for recording in recordings])) < MAX_ROUGHNESS


def _labels(
    root: Path, recordings: dict[str, Recording], others: list[str], options: Options
) -> tuple[FileLabels, str] | None:
    """(labels, the table that holds them or ""): by a table of files, by a constant column, by class folders, by names.

    Only a table that names the files says by itself that each file is one sample.
    """
    index = FileIndex(list(recordings))
    ordered = _ordered(recordings.values())
    for path in others:
        try:
            table = read_table(root / path)
        except DataError:  # prose beside the recordings
            continue
        at = file_column(table, index)
        if at is None and ordered:
            table, at = _by_number(table, list(recordings))
        found = read_labels(table, at, path, index, options) if at is not None else None
        if found:
            return _with_ranges(found, options), path
    if not ordered:
        return None
    found = _by_constant_column(recordings, options.target)
    if not found and not options.target:
        found = _by_folder(list(recordings)) or _by_name(list(recordings))
    return (found, "") if found else None


def _with_ranges(found: FileLabels, options: Options) -> FileLabels:
    """Numbers become the ranges that the options say."""
    if not found.numbers:
        return found
    ranges, names = cut(list(found.numbers.values()), options.label_cuts or "")
    labels: dict[str, tuple[str, ...]] = {f: (cell,) for f, cell in zip(found.numbers, ranges, strict=True) if cell}
    return replace(found, labels=labels, label_order=names)


def _by_constant_column(recordings: dict[str, Recording], target: str | None) -> FileLabels | None:
    words = set.intersection(*(set(recording.words) for recording in recordings.values()))
    for name in sorted(words):
        labels: dict[str, tuple[str, ...]] = {path: (recording.words[name],) for path, recording in recordings.items()}
        if (name == target or (not target and is_label(name))) and 1 < len(set(labels.values())) <= len(labels) / 2:
            return FileLabels(labels, None, False, name, sorted(words))
    return None


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


def _by_name(paths: list[str]) -> FileLabels | None:
    found = classes_in_names([Path(path).name for path in paths])
    if not found:
        return None
    classes, _ = found
    what = f"the classes are taken from the names of the files ({examples(classes)})"
    doubt = Doubt(what, "sort the files into one folder per class if that is wrong", paths[0])
    labels: dict[str, tuple[str, ...]] = {path: (name,) for path, name in zip(paths, classes, strict=True)}
    return FileLabels(labels, None, False, "", [], doubts=[doubt])


def read(root: Path, options: Options) -> Cases:
    recordings, others = _recordings(root)
    labelled = _labels(root, recordings, others, options) if recordings else None
    if not labelled:
        raise DataError("the files hold a series each, but no labels; sort them into a folder for each class.")
    found, label_table = labelled
    kept = [path for path in recordings if found.labels.get(path)]
    ignored = [{"path": path, "why": "it has no label"} for path in recordings if not found.labels.get(path)]
    ignored += [{"path": path, "why": "it is no series like the other files"} for path in others if path != label_table]
    given = set(found.sides.values()) == {"train", "test"}
    return Cases(
        [recordings[path].values for path in kept],
        [
            Sample(path, found.labels[path], found.sides.get(path) if given else None, found.groups.get(path))
            for path in kept
        ],
        found.label_order or sorted({label for path in kept for label in found.labels[path]}, key=natural),
        found.multi_label,
        Findings(
            [f"each file is a series; its label is {found.target or 'in its name or that of its folder'}"],
            found.doubts + [doubt for path in kept for doubt in left_out_doubts(path, recordings[path].left_out)],
            ignored,
            target=found.target or None,
            target_candidates=found.candidates,
        ),
        {
            "layout": "recordings",
            "channels": list(recordings[kept[0]].channels),
            "packages": packages_for(kept),
        },
        groups={name: [of.get(path, "") for path in kept] for name, of in found.comes_from.items()},
    )


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """Each file is a series; its columns are those of the training data, in any order."""

    def read(path: Path, name: str) -> None:
        table, findings = read_with_findings(path)
        missing = [column for column in recipe["channels"] if column not in table.columns]
        if missing:
            raise DataError(f"{path.name} lacks the column {missing[0]!r}; give the columns of the training data.")
        values = _values(table, recipe["channels"])
        strange = strange_cells([table.column(column) for column in recipe["channels"]], values)
        new.add(name or path.name, values, flaw([*chain(*strange.values())]))
        new.notes += left_out(findings, path.name)

    for_each_file(new, source, read)
