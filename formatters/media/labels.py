"""Which label each file has: class folders, or a labels table; train/ and test/ folders are respected.

labelled_files(root, suffixes, options, noun) -> Labelled
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from automl_engine.errors import DataError
from formatters.base import Doubt, Options, Sample, Side
from formatters.media.label_table import (
    FileIndex,
    FileLabels,
    file_column,
    names_of_indices,
    read_labels,
    sides_of_paths,
    split_sides,
)
from formatters.tables.reader import RawTable, read_table

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".json", ".txt")
NO_TABLE = ("readme", "license", "licence", "copying", "notice", "changelog")
NO_LABELS = ("submission",)  # tables to be filled in for a contest
SORT_THEM = (
    "sort them into one folder per class, or add a labels.csv with a column of file names and a column of labels."
)
MAX_TABLE_BYTES = 200 * 2**20


@dataclass
class Labelled:
    """Files with their labels; ``paths[i]`` belongs to ``samples[i]``."""

    paths: list[Path]
    samples: list[Sample]
    label_names: list[str]  # in index order
    multi_label: bool
    why: list[str]
    doubts: list[Doubt] = field(default_factory=list)
    ignored: list[dict[str, str]] = field(default_factory=list)
    target: str | None = None
    target_candidates: list[str] = field(default_factory=list)


def labelled_files(root: Path, suffixes: Collection[str], options: Options, noun: str) -> Labelled:
    """All files with these suffixes and their labels, in natural order of their paths.

    Args:
        noun: what the files are, in the plural, for messages ("images").

    Raises:
        DataError: no labels can be found, or the table does not fit the files.
    """
    every = files_below(root)
    files = [path for path in every if path.rpartition("/")[2].lower().endswith(tuple(suffixes))]
    if not files:
        raise DataError(f"The upload holds no {noun}; add them, or choose another modality.")
    tables, errors = _label_tables(root, every, files, suffixes, options)
    if tables:
        result = _from_tables(root, files, tables)
    else:
        if options.target:
            raise DataError(f"there is no labels table with the column {options.target!r}; leave the target out.")
        result = _from_folders(root, files, noun, errors)
    used = {sample.source for sample in result.samples} | set(tables) | {entry["path"] for entry in result.ignored}
    result.ignored += [{"path": p, "why": f"not one of the {noun}"} for p in every if p not in used]
    return result


def files_below(root: Path) -> list[str]:
    """Paths of all files below a folder, relative, in natural order ("a2" before "a10")."""
    start = len(os.path.join(root, ""))
    found = (os.path.join(folder, name)[start:] for folder, _, names in os.walk(root) for name in names)
    return sorted(found, key=natural)


def natural(text: str) -> list[tuple[int, int, str]]:
    """A sort key: digits by value, letters without regard to case."""
    parts = re.findall(r"(\d{1,18})|(\D+|\d)", text)
    key = [(0, int(number), "") if number else (1, 0, rest.casefold()) for number, rest in parts]
    return [*key, (2, 0, text)]


def _label_tables(
    root: Path, every: list[str], files: list[str], suffixes: Collection[str], options: Options
) -> tuple[dict[str, FileLabels], list[DataError]]:
    """Tables that name our files and hold labels, by path; and what was wrong with the others."""
    index = FileIndex(files)
    found: dict[str, FileLabels] = {}
    errors: list[DataError] = []
    for path in every:
        suffix, stem = Path(path).suffix.lower(), Path(path).stem.lower()
        if suffix not in TABLE_SUFFIXES or suffix in suffixes or stem.startswith(NO_TABLE) or stem.endswith(NO_LABELS):
            continue
        if not 0 < (root / path).stat().st_size < MAX_TABLE_BYTES:
            continue
        try:
            table = _two_columns(read_table(root / path))
        except DataError as error:
            if suffix not in (".txt", ".json"):  # any prose is a "ragged table"
                errors.append(error)
            continue
        at = file_column(table, index)
        if at is None:
            at = _column_of_missing_files(table.rows, suffixes)
        if at is None:
            continue
        labels = read_labels(table, at, path, index, options.target)
        if labels:
            found[path] = labels
        else:
            others = ", ".join(repr(name) for i, name in enumerate(table.columns) if i != at)
            what = f"{path} names the files, but holds no label" + (
                f": the values of {others} hardly come back" * bool(others)
            )
            errors.append(DataError(f"{what}; add a column with the class of each file."))
    return found, errors


def _two_columns(table: RawTable) -> RawTable:
    """Lists such as "images/1.png 3" have a blank between the name and the label."""
    if len(table.columns) > 1 or not all(" " in row[0] for row in table.rows):
        return table
    rows = [row[0].rsplit(maxsplit=1) for row in table.rows]
    first = table.columns[0].rsplit(maxsplit=1)
    if Path(first[0]).suffix == Path(rows[0][0]).suffix != "":  # taken for a header, but a row like the others
        rows, first = [first, *rows], []
    header = first if len(first) == 2 else ["file", "label"]
    return replace(table, columns=header, rows=rows, has_header=header == first)


def _column_of_missing_files(rows: list[list[str]], suffixes: Collection[str]) -> int | None:
    """A column of names like ours, none of which was uploaded."""
    for at in range(len(rows[0])):
        if all(row[at].lower().endswith(tuple(suffixes)) for row in rows[:100]):
            return at
    return None


def _from_tables(root: Path, files: list[str], tables: dict[str, FileLabels]) -> Labelled:
    labels: dict[str, tuple[str, ...]] = {}
    for path, side in sides_of_paths(tables).items():
        table = tables[path]
        labels |= table.labels
        if side and len(tables) > 1 and not table.sides:
            table.sides = dict.fromkeys(table.labels, side)
    first = next(iter(tables.values()))
    multi_label = any(table.multi_label for table in tables.values())
    renamed = names_of_indices(labels, root)
    if renamed:
        labels = {file: tuple(renamed[label] for label in names) for file, names in labels.items()}
    kept = [file for file in files if file in labels and (labels[file] or multi_label)]
    used = {label for file in kept for label in labels[file]}
    order = [name for name in first.label_order or sorted(used, key=natural) if name in used]
    sides = {file: side for table in tables.values() for file, side in table.sides.items()} or _folder_sides(kept)[0]
    groups = {file: group for table in tables.values() for file, group in table.groups.items()}
    names = " and ".join(tables)
    result = Labelled(
        [root / file for file in kept],
        [Sample(file, labels[file], sides.get(file), groups.get(file)) for file in kept],
        order,
        multi_label,
        [f"{names} names the files and holds their labels ({first.target})"],
        [doubt for table in tables.values() for doubt in table.doubts],
        target=first.target,
        target_candidates=first.candidates,
    )
    without = [file for file in files if file not in set(kept)]
    result.ignored = [{"path": file, "why": f"has no label in {names}"} for file in without]
    if without:
        have = "has no label" if len(without) == 1 else "have no label"
        what = f"{len(without):,} of {len(files):,} files {have} in {names}; left out"
        result.doubts.append(Doubt(what, "add a row for each of them, or remove the files", without[0]))
    return result


def _folder_sides(files: list[str]) -> tuple[dict[str, Side], int | None]:
    """Side by file and the depth of the train/ and test/ folders; ({}, None) when there are none.

    A class may be called "train", so a depth counts only if every folder there is named so.
    """
    for depth in range(3):
        names = {file: file.split("/")[depth].lower() for file in files if file.count("/") > depth}
        sides = split_sides(set(names.values()))
        if names and all(name in sides for name in names.values()):
            return {file: sides[name] for file, name in names.items()}, depth
    return {}, None


def _from_folders(root: Path, files: list[str], noun: str, errors: list[DataError]) -> Labelled:
    sides, depth = _folder_sides(files)
    folders = {file: [p for at, p in enumerate(file.split("/")[:-1]) if at != depth] for file in files}
    inside = [file for file in files if folders[file]]
    if not inside:
        if errors:
            raise errors[0]
        raise DataError(f"No labels found: all {noun} stand in one folder; {SORT_THEM}")
    while len({folders[file][0] for file in inside}) == 1 and all(len(folders[file]) > 1 for file in inside):
        for file in inside:
            folders[file].pop(0)
    samples = [Sample(file, (folders[file][0],), sides.get(file)) for file in inside]
    if len({sample.labels for sample in samples}) == 1:
        what = f"There is only one class: all {noun} stand in the folder {samples[0].labels[0]!r}"
        raise errors[0] if errors else DataError(f"{what}; {SORT_THEM}")
    result = Labelled(
        [root / file for file in inside],
        samples,
        sorted({sample.labels[0] for sample in samples}, key=natural),
        False,
        [f"each class has its folder ({_examples([sample.labels[0] for sample in samples])})"],
    )
    if {sample.split for sample in samples} == {"train", "test"}:
        result.why.append("the split into train and test is given by the folders")
    outside = [file for file in files if not folders[file]]
    result.ignored = [{"path": file, "why": "stands outside the class folders"} for file in outside]
    result.doubts = _folder_doubts([folders[file] for file in inside], outside, noun)
    return result


def _folder_doubts(folders: list[list[str]], outside: list[str], noun: str) -> list[Doubt]:
    """``folders``: those around each file, the class first; ``outside``: files in none."""
    doubts = []
    if outside:
        stand = "stands outside the class folders and is" if len(outside) == 1 else ""
        what = f"{len(outside):,} of the {noun} {stand or 'stand outside the class folders and are'} left out"
        doubts.append(Doubt(what, "move each into the folder of its class", outside[0]))
    inner: dict[str, set[str]] = {}
    for around in folders:
        inner.setdefault(around[0], set()).add(around[1] if len(around) > 1 else "")
    deeper = set().union(*inner.values()) - {""}
    if deeper:
        what = f"class folders hold folders ({_examples(list(deeper))}); all {noun} in them belong to the upper folder"
        same = len(deeper) > 1 and all(names == deeper for names in inner.values())  # perhaps several data sets
        fix = "move these folders up if they are the classes" + ", or upload each upper folder by itself" * same
        doubts.append(Doubt(what, fix, level="warning" if same else "info"))
    return doubts


def _examples(names: list[str]) -> str:
    distinct = sorted(set(names), key=natural)
    return ", ".join(distinct[:4]) + (", ..." if len(distinct) > 4 else "")


def without(labelled: Labelled, unreadable: list[dict[str, str]], noun: str) -> Labelled:
    """The files but for the unreadable ones.

    Raises:
        DataError: none, or none of a class, is left.
    """
    bad = {entry["path"] for entry in unreadable}
    if not bad:
        return labelled
    first = unreadable[0]
    kept = [i for i, sample in enumerate(labelled.samples) if sample.source not in bad]
    if not kept:
        raise DataError(
            f"None of the {len(bad):,} {noun} can be read (the first, {first['path']}: {first['why']}); "
            "export them again in a usual format."
        )
    left = {label for i in kept for label in labelled.samples[i].labels}
    lost = next((name for name in labelled.label_names if name not in left), None)
    if lost is not None:
        files = [sample.source for sample in labelled.samples if lost in sample.labels]
        why = next(entry["why"] for entry in unreadable if entry["path"] == files[0])
        raise DataError(
            f"Class {lost!r} has no readable file: {files[0]} and all others of it are damaged ({why}); "
            "replace them or remove the class."
        )
    return replace(labelled, paths=[labelled.paths[i] for i in kept], samples=[labelled.samples[i] for i in kept])
