"""Which label each file has: class folders, or a labels table; train/ and test/ folders are respected.

labelled_files(root, suffixes, options, noun) -> Labelled
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from automl_engine.errors import DataError
from formatters.base import Doubt, Options, Sample
from formatters.media.folders import folder_sides, from_folders
from formatters.media.label_table import (
    FileIndex,
    FileLabels,
    file_column,
    names_of_indices,
    read_labels,
    sides_of_paths,
)
from formatters.media.order import files_below, natural
from formatters.media.parts import copies
from formatters.tables.reader import RawTable, read_table

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".json", ".txt")
NO_TABLE = ("readme", "license", "licence", "copying", "notice", "changelog")
NO_LABELS = ("submission",)  # tables to be filled in for a contest
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
    repeated = copies(root, files)
    files = [path for path in files if path not in repeated]
    tables, errors = _label_tables(root, every, files, suffixes, options)
    if tables:
        result = _from_tables(root, files, tables)
    else:
        if options.target:
            raise DataError(f"there is no labels table with the column {options.target!r}; leave the target out.")
        result = _from_folders(root, files, noun, errors)
    if repeated:
        what = f"{len(repeated):,} of the {noun} repeat others: a folder holds a copy of the data set; left out"
        result.doubts.append(Doubt(what, "nothing needs to be done", min(repeated), "info"))
    result.ignored += [{"path": path, "why": "a copy of the same file further up"} for path in sorted(repeated)]
    used = {sample.source for sample in result.samples} | set(tables) | {entry["path"] for entry in result.ignored}
    result.ignored += [{"path": p, "why": f"not one of the {noun}"} for p in every if p not in used]
    return result


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
    sides = {file: side for table in tables.values() for file, side in table.sides.items()} or folder_sides(kept)
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


def _from_folders(root: Path, files: list[str], noun: str, errors: list[DataError]) -> Labelled:
    try:
        found = from_folders(files, noun, read_names=not errors)
    except DataError as error:
        raise errors[0] if errors else error from None
    kept = [file for file in files if file in found.labels]
    return Labelled(
        [root / file for file in kept],
        [Sample(file, (found.labels[file],), found.sides.get(file)) for file in kept],
        sorted(set(found.labels.values()), key=natural),
        False,
        found.why,
        found.doubts,
        [{"path": file, "why": why} for file, why in found.unlabelled.items()],
    )


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
