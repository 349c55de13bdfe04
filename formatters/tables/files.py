"""Which files of an upload are tables, and how they belong together: one, several parts, or train and test.

load(root) -> TableUpload, remembered, since several formatters look at the same upload.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

from automl_engine.errors import DataError
from formatters.base import Doubt
from formatters.edits import fixes
from formatters.groups import names_groups
from formatters.labels.target import CLEAR_NAME, SURE_NAME, name_score
from formatters.media.beside import NO_TABLE, names_of_indices
from formatters.media.order import files_below
from formatters.split_words import (
    TELLS_SPLIT,
    is_split_name,
    may_tell_split,
    parts_of_cells,
    sides_of_parts,
    sides_of_paths,
)
from formatters.tables.columns import Column, profile
from formatters.tables.formats import A_FILE_EACH, JSONS, STRUCTURED_SUFFIXES, WORKBOOKS, packages_for
from formatters.tables.joined import (
    class_doubt,
    data_with_labels,
    named_by_class,
    with_class_column,
    with_header_of_first,
    with_labels_beside,
    with_sheets_as_classes,
)
from formatters.tables.matrices import matrices
from formatters.tables.new_rows import left_out_doubts
from formatters.tables.reader import (
    TABLE_SUFFIXES,
    RawFindings,
    RawTable,
    ReadTable,
    check_lines,
    decode_text,
    read_table,
    read_with_findings,
)
from formatters.tables.records import SHEET
from formatters.words import counted

Side = Literal["train", "test"]
OTHER_DATA = re.compile(
    r".*\.(png|jpe?g|bmp|gif|webp|tiff?|wav|flac|ogg|mp3|m4a|avi|mp4|mov|webm|mkv|mpe?g|ts|tfrecord)", re.IGNORECASE
)
BETWEEN_TEXT_AND_LABEL = ("\t", ";", "|")
MIN_TEXTS = 10  # of a class, a line each
MIN_WORDS = 3  # of a text, on average
MAX_NAMELESS_CLASSES = 20  # in a table without a header
TOOL_COLUMNS = {  # of Label Studio and Prodigy, by one that tells the tool
    "annotation_id": ("annotation_id", "annotator", "created_at", "updated_at", "lead_time", "id"),
    "_input_hash": ("_input_hash", "_task_hash", "_timestamp", "_session_id", "_annotator_id", "_view_id"),
}
FORM = re.compile(r"submission(?!s)", re.IGNORECASE)  # a table to be filled in for a contest
FILE_IN_LETTERS = re.compile(
    r"(?:data:[a-z]{1,20}/[\w.+-]{1,40};base64,|(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|SUkqA|ZkxhQ|SUQz)[\w+/]{40})"
)
LOOK_CELLS = 20
NAMELESS = "column_"
AS_THE_OTHERS = "give it the columns of the other files if its rows belong to them, or join what it tells to each row"


@dataclass(frozen=True)
class Aside:
    """A table whose columns are not those of the others."""

    path: str
    columns: frozenset[str]
    rows: int
    why: str


@dataclass(frozen=True, eq=False)  # compared by identity, so that what was judged is remembered
class TableUpload:
    """All rows of an upload's table files; ``sources`` and ``sides`` run along the rows."""

    table: RawTable
    columns: list[Column]
    sources: list[str]  # "row 17", or "test.csv, row 17" where there are several files
    sides: Sequence[Side | None]
    why: list[str]
    ignored: list[dict[str, str]]
    doubts: list[Doubt]
    aside: list[Aside]
    packages: list[str] = field(default_factory=list)  # what must be installed to read such files

    def doubts_for(self, target: Sequence[str]) -> list[Doubt]:
        """What was left out of the tables, and whole tables that were: their rows have labels, but other columns."""
        labelled = [one for one in self.aside if set(target) <= one.columns]
        about_same = [one for one in self.aside if one not in labelled and self._may_tell_more(one)]
        unsure = [
            _unsure_split(c)
            for c in self.columns
            if c.name not in target and not c.why_ignored and not c.missing and may_tell_split(c.name, c.counts)
        ]
        return [*self.doubts, *unsure] + [
            Doubt(f"{one.path} and its {counted(one.rows, 'row')} are not used: {one.why}", AS_THE_OTHERS, one.path)
            for one in labelled + about_same
        ]

    def _may_tell_more(self, one: Aside) -> bool:
        """Has it many rows, a column that names ours, and others that ours lack?"""
        own = {column.name for column in self.columns}
        shared = any(not column.startswith(NAMELESS) for column in one.columns & own)
        return shared and not one.columns <= own and 2 * one.rows >= len(self.table.rows)


def load(root: Path) -> TableUpload | None:
    """The table(s) of an upload; None when it is made of other things.

    Raises:
        DataError: a table is there and cannot be read.
    """
    paths = tuple(files_below(root))
    others = [path for path in paths if OTHER_DATA.fullmatch(path)]
    documents = [path for path in paths if path.lower().endswith(".txt") and not _is_about(path)]
    alone = not any(path.lower().endswith((*TABLE_SUFFIXES, *STRUCTURED_SUFFIXES)) for path in paths)
    if len(others) > 2:
        return None
    tables = len(documents) <= 2 or data_with_labels(documents) or _are_parts(root, documents, alone)
    if not tables and not _texts_by_class(root, documents):
        return None
    stamp = tuple((root / path).stat().st_mtime_ns for path in paths)
    return _load(root, paths, stamp)


def path_of_only_table(root: Path) -> str | None:
    """Where an upload holds a table in one file, so that its rows are named without that: its path."""
    upload = load(root)
    if upload is None or not upload.sources[0].startswith("row "):
        return None
    return next(path for path in files_below(root) if path.rpartition("/")[2] == upload.table.file_name)


@lru_cache(maxsize=1)
def _load(root: Path, paths: tuple[str, ...], stamp: tuple[int, ...]) -> TableUpload | None:
    read = _read_tables(root, paths)
    if not read:
        return None
    read = {
        path: with_sheets_as_classes(one) if path.lower().endswith(WORKBOOKS) else one for path, one in read.items()
    }
    joined = with_labels_beside(_spelt_alike(with_header_of_first(read)))
    tables = {path: table for path, (table, _) in joined.items()}
    findings = {path: found for path, (_, found) in joined.items()}
    group = _largest_group(tables)
    sides = sides_of_paths(group)
    given = {"train", "test"} == set(sides.values())
    main = _with_class_names(root, paths, _join([tables[path] for path in group]))
    sources, row_sides = [], []
    for path in group:
        prefix = f"{path}, " if len(group) > 1 else ""
        sources += [f"{prefix}row {number}" for number in range(1, len(tables[path].rows) + 1)]
        row_sides += [sides[path] if given else None] * len(tables[path].rows)
    why = [f"{path}: {note}" if len(tables) > 1 else note for path in group for note in findings[path].notes]
    if given:
        why.append("the split into train and test is given by the names of the files")
    columns = [profile(name, main.column(name), main.delimiter) for name in main.columns]
    for column in columns:
        _check_no_files(column, main.file_name)
    doubts = [doubt for path in group for doubt in left_out_doubts(path, findings[path].left_out)]
    labelled = not main.has_header and any(1 < column.distinct <= MAX_NAMELESS_CLASSES for column in columns)
    if not given and not labelled and named_by_class(group, main.columns):
        classes = [Path(path).stem for path in group for _ in tables[path].rows]
        main = with_class_column(main, classes)
        columns.append(profile(main.label, classes))
        doubts.append(class_doubt(main.label, group))
    if main.label == SHEET:
        doubts.append(class_doubt(SHEET, list(dict.fromkeys(main.column(SHEET))), "sheet"))
    aside = _left_aside(tables, group)
    ignored = [{"path": one.path, "why": one.why} for one in aside]
    ignored += [{"path": path, "why": _why_not_read(path)} for path in paths if path not in read]
    packages = packages_for(group)
    return _with_split_column(TableUpload(main, columns, sources, row_sides, why, ignored, doubts, aside, packages))


def _read_tables(root: Path, paths: tuple[str, ...]) -> dict[str, ReadTable]:
    """The tables by path; JSON beside other tables holds words about them."""
    if any(path.endswith(".solution") for path in paths):
        return matrices(root, paths)
    named = [path for path in paths if not _is_about(path)]
    named = [path for path in named if not FORM.search(Path(path).stem)] or named
    structured = [path for path in named if path.lower().endswith(STRUCTURED_SUFFIXES)]
    found = [path for path in named if path.lower().endswith(TABLE_SUFFIXES)]
    found += [path for path in structured if not found or not path.lower().endswith(JSONS)]
    if found:
        return {path: read_with_findings(root / path) for path in found}
    return _plain_text_tables(root, [path for path in named if Path(path).suffix.lower() in (".txt", "")])


def _why_not_read(path: str) -> str:
    if FORM.search(Path(path).stem):
        return "a form for the answers to a contest"
    return "a JSON file beside other tables" if path.lower().endswith(JSONS) else "it is no table of rows"


def _is_about(path: str) -> bool:
    """A licence, a readme, a list of words: about the data."""
    stem = Path(path).stem.lower()
    return stem.startswith(NO_TABLE) or stem.endswith(("vocab", "vocabulary", "stopwords"))


def _are_parts(root: Path, paths: list[str], alone: bool = True) -> bool:
    """Are these files of one folder parts of one table?

    Each holds a sentence and a label a line, with a tab, semicolon or bar between them, or, where they stand ``alone``,
    has the header of the first.
    """
    if len({Path(path).parent for path in paths}) != 1:
        return False
    try:
        first = read_table(root / paths[0])
        tables = (read_table(root / path) for path in paths)
        if first.delimiter in BETWEEN_TEXT_AND_LABEL and any(map(_is_sentence, first.rows[0])):
            return all(
                table.delimiter == first.delimiter
                and len(table.columns) == len(first.columns)
                and any(map(_is_sentence, table.rows[0]))
                for table in tables
            )
        headed = alone and first.has_header and len(first.columns) > 1
        return headed and all(table.has_header and table.columns == first.columns for table in tables)
    except DataError:  # prose
        return False


def _is_sentence(cell: str) -> bool:
    return " " in cell or bool(re.search(r"[\u3040-\u9fff]{8}", cell))


def _plain_text_tables(root: Path, paths: list[str]) -> dict[str, ReadTable]:
    """.txt files (or files without a suffix) may be tables, if their lines fall into even columns; many, if alike."""
    pairs = data_with_labels(paths)
    paths = pairs or paths
    if not pairs and not 0 < len(paths) <= 2 and not _are_parts(root, paths):
        return _texts_by_class(root, paths)
    read = {}
    for path in paths:
        try:
            read[path] = read_with_findings(root / path)
        except DataError:  # prose is a "ragged table"
            return _texts_by_class(root, paths)
    tables = {path: one for path, one in read.items() if pairs or min(len(one[0].columns), len(one[0].rows)) > 1}
    return tables or _texts_by_class(root, paths)


def _texts_by_class(root: Path, paths: list[str]) -> dict[str, ReadTable]:
    """Files that hold a text a line and are named by their class, such as positive.txt and negative.txt."""
    if not named_by_class(paths, ["text"]) or len({Path(path).parent for path in paths}) > 1:
        return {}
    tables = {}
    for path in paths:
        check_lines(root / path)
        lines = [line.strip() for line in decode_text(root / path)[0].splitlines() if line.strip()]
        if len(lines) < MIN_TEXTS or sum(len(line.split()) for line in lines) < MIN_WORDS * len(lines):
            return {}
        tables[path] = RawTable(["text"], [[line] for line in lines], False, "", path), RawFindings()
    return tables


def _check_no_files(column: Column, name: str) -> None:
    """Raises DataError: the cells hold whole files as letters (base64)."""
    if len(column.counts) > 1 and all(map(FILE_IN_LETTERS.match, islice(column.counts, LOOK_CELLS))):
        raise DataError(f"column {column.name!r} of {name} holds files as letters (base64); {A_FILE_EACH}")


def _spelt_alike(read: dict[str, ReadTable]) -> dict[str, ReadTable]:
    """The tables, a column that another one spells otherwise ("Kind", "kind") under its first name."""
    first: dict[str, str] = {}
    found = {}
    for path, (table, findings) in read.items():
        folded = [name.casefold() for name in table.columns]
        if len(set(folded)) == len(folded):
            names = [first.setdefault(plain, name) for plain, name in zip(folded, table.columns, strict=True)]
            table = replace(table, columns=names) if names != table.columns else table
        found[path] = table, findings
    return found


def _largest_group(tables: dict[str, RawTable]) -> list[str]:
    """The files with the same columns that hold the most cells; wider tables win, since labels are a column."""
    groups: dict[frozenset[str], list[str]] = {}
    for path, table in tables.items():
        groups.setdefault(frozenset(table.columns), []).append(path)
    named = {columns: max(map(name_score, columns)) for columns in groups}
    if max(named.values()) >= SURE_NAME:  # tables about the same things, one of them with the label
        groups = {columns: group for columns, group in groups.items() if named[columns] >= CLEAR_NAME}

    def size(columns: frozenset[str]) -> int:
        return len(columns) * sum(len(tables[path].rows) for path in groups[columns])

    largest = max(groups, key=size)
    wider = [columns for columns in groups if columns > largest]
    return groups[max(wider, key=len) if wider else largest]


def _join(tables: list[RawTable]) -> RawTable:
    first = tables[0]
    rows = list(first.rows)
    for table in tables[1:]:
        places = {name: at for at, name in enumerate(table.columns)}
        order = [places[name] for name in first.columns]
        rows += [[row[at] for at in order] for row in table.rows]
    return replace(first, rows=rows)


def _with_class_names(root: Path, paths: Sequence[str], table: RawTable) -> RawTable:
    """The table, with the names of its classes where a file beside numbers them (activity_labels.txt)."""
    if table.has_header or table.label not in table.places:
        return table
    at = table.places[table.label]
    names = names_of_indices({row[at]: (row[at],) for row in table.rows}, root, list(paths))
    rows = [[*row[:at], names[row[at]], *row[at + 1 :]] for row in table.rows] if names else table.rows
    return replace(table, rows=rows)


def _left_aside(tables: dict[str, RawTable], group: list[str]) -> list[Aside]:
    columns = set(tables[group[0]].columns)
    aside = []
    for path, table in tables.items():
        if path not in group:
            lacking = sorted(columns - set(table.columns))
            why = f"it lacks the column {lacking[0]!r}" if len(lacking) == 1 else f"its columns differ from {group[0]}"
            aside.append(Aside(path, frozenset(table.columns), len(table.rows), why))
    return aside


def _with_split_column(upload: TableUpload) -> TableUpload:
    """A column that holds the words train and test is obeyed; no column that tells a split is a feature or a label."""
    written_by_tool = {name for mark, names in TOOL_COLUMNS.items() if mark in upload.table.places for name in names}
    for column in upload.columns:
        if column.name in written_by_tool:
            upload = _ignoring(upload, column, "the tool for labelling wrote it")
    for column in upload.columns:
        parts = parts_of_cells(column.name, column.counts)
        if not parts:
            continue
        upload = _ignoring(upload, column, TELLS_SPLIT)
        if column.missing or not set(parts.values()) & {"validation", "test"}:
            continue
        side_of = sides_of_parts(set(parts.values()))
        sides = {cell: side_of[part] for cell, part in parts.items() if part in side_of}
        cells = upload.table.column(column.name)
        kept = [at for at, cell in enumerate(cells) if cell in sides]
        why = f"the split into train and test is given by column {column.name!r}"
        if len(kept) < len(cells):
            why += f"; {counted(len(cells) - len(kept), 'row')} of unlabelled parts left out"
        return replace(
            upload,
            table=replace(upload.table, rows=[upload.table.rows[at] for at in kept]),
            sources=[upload.sources[at] for at in kept],
            sides=[sides[cells[at]] for at in kept],
            why=[*upload.why, why],
        )
    folds = [c for c in upload.columns if is_split_name(c.name) and "fold" in c.name.lower() and c.numbers]
    for column in folds:
        upload = _ignoring(upload, column, "it numbers the folds of a cross-validation")
    return upload


def _unsure_split(column: Column) -> Doubt:
    held = ", ".join(map(repr, sorted(column.counts)))
    what = f"column {column.name!r} is named as if it told the split into train and test, but holds {held}, so it is "
    what += "used like any other column"
    fix = "choose the values of the test set, or write train and test in it; leave it out if it tells something else"
    return Doubt(what, fix, column.name, fixes=fixes.split_by(column.name, sorted(column.counts)))


def _ignoring(upload: TableUpload, column: Column, why: str) -> TableUpload:
    columns = [replace(other, why_ignored=why) if other is column else other for other in upload.columns]
    return replace(upload, columns=columns)


def groups_of(upload: TableUpload, target: Sequence[str], rows: Sequence[int]) -> dict[str, list[str]]:
    """The columns of speakers, patients and the like whose values come back, for these rows."""
    others = [column for column in upload.columns if column.name not in target and column.distinct > 1]
    names = [column.name for column in others if names_groups(column.name, column.counts)]
    return {name: [upload.table.column(name)[row] for row in rows] for name in names}
