"""Tables and lists that lie beside files: which of them hold labels, sides and names of classes."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from automl_engine.errors import DataError
from formatters.base import Options, Side
from formatters.labels.cuts import LabelQuestion
from formatters.labels.target import CLEAR_NAME, name_score
from formatters.media.file_index import FileIndex
from formatters.media.label_table import FileLabels, file_column, read_labels
from formatters.media.table_files import TABLE_SUFFIXES, class_of_list, joined_lists, read_label_table
from formatters.split_words import MAX_PARTS, Part, is_split_name, part_of, part_of_path, parts_of_cells, sides_of_parts
from formatters.tables.reader import RawTable

NO_TABLE = ("readme", "license", "licence", "copying", "notice", "changelog")
NO_LABELS = re.compile(r"submi(ssion|t)", re.IGNORECASE)  # tables to be filled in for a contest
CLASS_NAMES = re.compile(
    r".*label\.name|([a-z]+_labels|class|classes|class_?ind|class_?names?|labels?|categories|synsets?)\.(txt|names?|lst)",
    re.I,
)
SPLIT_FILE = re.compile(r"(?:^|[^a-z])(split|partition)s?(?:[^a-z]|$)", re.IGNORECASE)
PARTITION: dict[str, Part] = {"0": "train", "1": "validation", "2": "test"}  # as CelebA writes them
MIN_FOLDERS = 4
MAX_TABLE_BYTES = 200 * 2**20


@dataclass
class Beside:
    """What lies beside the files, by the path of the table or list."""

    tables: dict[str, FileLabels] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)  # the files of one part (trainlist01.txt)
    errors: dict[str, DataError] = field(default_factory=dict)
    told: dict[str, dict[str, Side]] = field(default_factory=dict)  # the side of each file, in tables of nothing else
    joined: list[str] = field(default_factory=list)  # lists of one class each that are one of the tables
    of_folders: list[str] = field(default_factory=list)  # tables that give several folders one label
    codes: list[str] = field(default_factory=list)  # tables that tell a split by numbers, which may mean anything

    def sides(self) -> dict[str, Side]:
        """The side of each file by tables of sides, or by the names of the tables and lists; of several the first."""
        if self.told:
            return next(iter(self.told.values()))
        named = {path: list(table.labels) for path, table in self.tables.items() if not table.sides} | self.lists
        splits: dict[str, dict[str, list[str]]] = {}
        for path, files in named.items():
            if part_of_path(path):
                splits.setdefault("".join(re.findall(r"\d", Path(path).stem)), {})[path] = files
        whole = [split for split in splits.values() if {part_of_path(path) for path in split} >= {"train", "test"}]
        chosen = whole[0] if whole else {path: files for split in splits.values() for path, files in split.items()}
        side_of = sides_of_parts({part_of_path(path) for path in chosen})
        if len(named) < 2:
            return {}
        return {
            file: side_of[part_of_path(p)]
            for p, files in chosen.items()
            if part_of_path(p) in side_of
            for file in files
        }


def look_beside(root: Path, every: list[str], files: list[str], suffixes: Collection[str], options: Options) -> Beside:
    """Tables that name our files and hold labels; lists of the files of a part; what was wrong with the others."""
    index = FileIndex(files)
    found = Beside()
    flags: dict[str, RawTable] = {}
    for path in every:
        suffix, stem = Path(path).suffix.lower(), Path(path).stem.lower()
        if suffix not in TABLE_SUFFIXES or suffix in suffixes or stem.startswith(NO_TABLE) or NO_LABELS.search(stem):
            continue
        size_bytes = (root / path).stat().st_size
        if not size_bytes:
            continue
        try:
            if size_bytes > MAX_TABLE_BYTES:
                raise DataError(f"{path} is larger than {MAX_TABLE_BYTES:,} bytes; keep names and labels only.")
            table = read_label_table(root / path)
        except DataError as error:
            if suffix != ".txt":  # any prose is a "ragged table"
                found.errors[path] = error
            continue
        at = file_column(table, index)
        if at is not None and class_of_list(path, table):
            flags[path] = table
            continue
        if at is None:
            at = _column_of_missing_files(table.rows, suffixes)
        if at is not None:
            _take(found, path, table, at, index, options)
        elif _labels_folders(table, {file.split("/")[-2] for file in files if "/" in file}):
            found.of_folders.append(path)
        elif SPLIT_FILE.search(stem) and 2 * len(table.rows) >= len(files):
            found.codes.append(path)
    _take_flags(found, flags, index, options)
    _drop_templates(found)
    return found


def _take_flags(found: Beside, flags: dict[str, RawTable], index: FileIndex, options: Options) -> None:
    """Lists of a class each are one table; a single one is a table like any other."""
    table = joined_lists(flags)
    if table is None:
        for path, one in flags.items():
            _take(found, path, one, file_column(one, index) or 0, index, options)
        return
    _take(found, next(iter(flags)), table, 0, index, options)
    found.joined = list(flags)


def _take(found: Beside, path: str, table: RawTable, at: int, index: FileIndex, options: Options) -> None:
    if len(table.columns) == 1 and part_of_path(path):
        names = [*table.columns, *(row[0] for row in table.rows)]  # what was taken for a header may be a file
        matches = (index.find(name, part=part_of_path(path)) for name in names)
        found.lists[path] = [match[0] for match in matches if match]
        return
    if _tells_split(found, path, table, at, index):
        return
    try:
        labels = read_labels(table, at, path, index, options)
    except LabelQuestion as question:
        if options.target:
            raise
        found.errors[path] = question  # asked if the folders are no classes
        return
    if labels:
        found.tables[path] = labels
        return
    others = ", ".join(repr(name) for i, name in enumerate(table.columns) if i != at)
    hardly = f": the values of {others} hardly come back" * bool(others)
    what = f"{path} names the files, but holds no label{hardly}; add a column with the class of each file."
    found.errors[path] = DataError(what)


def _tells_split(found: Beside, path: str, table: RawTable, at: int, index: FileIndex) -> bool:
    """Does the table say no more than the part of each file, in words, or in numbers if it is named after a split?"""
    others = [i for i in range(len(table.columns)) if i != at]
    if len(others) != 1:
        return False
    name, cells = table.columns[others[0]], {row[others[0]] for row in table.rows}
    parts = parts_of_cells(name, cells)
    if not parts and not is_split_name(name) and not SPLIT_FILE.search(Path(path).stem):
        return False
    files = {file: row[others[0]] for row in table.rows for file in index.find(row[at])[:1]}
    holds_labels = table.has_header and name_score(name) >= CLEAR_NAME
    named = is_split_name(name) or (_is_named_after_split(path, list(files)) and not holds_labels)
    if not parts and named and cells == PARTITION.keys() and "partition" in f"{Path(path).stem} {name}".lower():
        parts = dict(PARTITION)
    if parts:
        sides = sides_of_parts(set(parts.values()))
        found.told[path] = {file: sides[parts[cell]] for file, cell in files.items() if parts[cell] in sides}
    elif named and len(cells) <= MAX_PARTS and all(cell.isdecimal() for cell in cells):
        found.codes.append(path)
    return bool(parts) or path in found.codes


def _is_named_after_split(path: str, files: list[str]) -> bool:
    """A name such as partition.txt, but not test_split.txt, unless all its files are of the class in its name."""
    stem, folders = Path(path).stem, {Path(file).parent.name for file in files}
    of_class = len(folders) == 1 and stem.startswith(min(folders)) and "" not in folders
    return bool(SPLIT_FILE.search(stem)) and (not part_of(stem) or of_class)


def _labels_folders(table: RawTable, folders: set[str]) -> bool:
    """Does it name many folders, and give each a label that others have too?"""
    named = [[row[at] for row in table.rows] for at in range(len(table.columns))]
    if not any(len(set(cells)) == len(cells) >= MIN_FOLDERS and set(cells) <= folders for cells in named):
        return False
    return any(1 < len(set(cells)) <= len(cells) / 2 for cells in named)


def _column_of_missing_files(rows: list[list[str]], suffixes: Collection[str]) -> int | None:
    """A column of names like ours, none of which was uploaded."""
    for at in range(len(rows[0])):
        if all(row[at].lower().endswith(tuple(suffixes)) for row in rows[:100]):
            return at
    return None


def _drop_templates(found: Beside) -> None:
    """A table with one label for all its files, of the test or labelled elsewhere, is a form to be filled in."""
    several = {path for path, table in found.tables.items() if len(set(table.labels.values())) > 1}
    for path in set(found.tables) - several if several else ():
        filled = found.tables[path].labels
        labelled = {file for other in several for file in found.tables[other].labels}
        if len(filled) > 2 and all(part_of_path(file) == "test" or file in labelled for file in filled):
            del found.tables[path]


def names_of_indices(labels: dict[str, tuple[str, ...]], root: Path, every: list[str]) -> dict[str, str] | None:
    """Names of classes in a file such as classes.txt (a name a line, or "1 name") when the labels are numbers."""
    used = {label for names in labels.values() for label in names}
    if not used or not all(label.isdecimal() for label in used):
        return None
    for path in every:
        if CLASS_NAMES.fullmatch(path.rpartition("/")[2]):
            lines = [line.strip() for line in (root / path).read_text("utf-8", "replace").split("\n") if line.strip()]
            pairs = [match.groups() for line in lines if (match := re.fullmatch(r"(\d+)[\s,;:]+(.*\S)", line))]
            if len(pairs) >= max(2, len(lines) - 1):
                names = {str(int(number)): name for number, name in pairs}
            else:
                first = 1 if "0" not in used and max(map(int, used)) == len(lines) else 0
                names = {str(number): name for number, name in enumerate(lines, first)}
            if len(set(names.values())) == len(names) and all(str(int(label)) in names for label in used):
                return {label: names[str(int(label))] for label in used}
    return None
