"""Tables in other formats than delimited text: workbooks, Parquet, Feather, JSON lines, ARFF, SQLite, packed text.

Each reader gives rows of strings, the first one the header.  Libraries are imported only when such a file comes.
"""

from __future__ import annotations

import csv
import os
import re
import sqlite3
import zipfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.split_words import part_of
from formatters.tables.delimited import MAX_LINE_BYTES
from formatters.tables.records import MAX_CELLS, SHEET, SPLIT, check_size, records, written
from formatters.tables.untidy import check_one_table, without_tables_beside

MAX_WORKBOOK_BYTES, MAX_ARROW_BYTES = 2**29, 2**31
LOOK_ROWS = 5  # of a sheet, for its header
MIN_NEW_ROWS = 0.9  # share of different rows in sheets that are joined
ARFF_ATTRIBUTE = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"[^\"]*\"|\S+)\s+(.+)", re.IGNORECASE)
MEKA_LABELS = re.compile(r"^@relation\s.*?-C\s+(-?[1-9]\d{0,4})", re.IGNORECASE | re.MULTILINE)
WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
ARROW = (".parquet", ".feather", ".arrow")
DATABASES = (".sqlite", ".sqlite3", ".db")
JSONS = (".json", ".jsonl", ".ndjson", ".geojson")
PACKAGES = {**dict.fromkeys(WORKBOOKS, "python-calamine"), **dict.fromkeys(ARROW, "pyarrow")}
STRUCTURED_SUFFIXES = (*WORKBOOKS, *ARROW, *DATABASES, *JSONS, ".arff")
A_FILE_EACH = "save each as a file of its own, in one folder per class or beside a CSV of file names and labels."
FORMULA_WITHOUT_RESULT = re.compile(  # one that gives text may give none
    rb'<c(?![^>]{0,200}t="str")[^>]{0,200}><f[^>]{0,200}(?:/>|>[^<]{0,9000}</f>)(?:<v ?/>|<v></v>)?</c>'
)
LOOK_SHEET_BYTES, MANY_FORMULAS = 2**22, 5
LOOK_BYTES_ROWS = 20
MAX_DIGITS = 9  # of a place in a sparse row
Rows = list[list[str]]


@dataclass(frozen=True)
class Structured:
    """Rows with their header, the label column if the file names it, and what was not read."""

    rows: Rows
    label: str = ""
    left_out: list[str] = field(default_factory=list)


def packages_for(paths: Collection[str]) -> list[str]:
    """What must be installed to read these files."""
    return sorted({PACKAGES[suffix] for path in paths if (suffix := Path(path).suffix.lower()) in PACKAGES})


@contextmanager
def _needing_package(path: Path) -> Iterator[None]:
    """A model brings only the packages that its own data need.

    Raises:
        DataError: the one for this file is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = PACKAGES[path.suffix.lower()]
        raise DataError(f"{path.name} needs the package {package}: install it, or save the table as CSV.") from error


def read_structured(path: Path, decode: Callable[[Path], tuple[str, str]], wanted: Collection[str] = ()) -> Structured:
    """The rows of a file of STRUCTURED_SUFFIXES; of a workbook those of the sheet with most of the wanted columns.

    Raises:
        DataError: it is damaged or holds no table.
    """
    suffix = path.suffix.lower()
    with _needing_package(path):
        if suffix in WORKBOOKS:
            return _workbook(path, {name.casefold() for name in wanted})
        if suffix in ARROW:
            return Structured(_arrow(path))
    if suffix in DATABASES:
        return Structured(_sqlite(path))
    text, _ = decode(path)
    return Structured(*_arff(text, path.name)) if suffix == ".arff" else Structured(records(text, path.name))


def read_workbook(path: Path) -> dict[str, Rows]:
    """The rows of each sheet, read in a process of its own: the library ends its process on some damage.

    Raises:
        DataError: it cannot be read.
    """
    with ProcessPoolExecutor(1, initializer=_silence) as pool:
        try:
            return pool.submit(_sheets, path).result()
        except BrokenProcessPool:
            reason = "it is damaged, or its cells lie too far apart for the memory here"
            raise DataError(f"{path.name} cannot be read ({reason}); save the sheet as CSV.") from None


def _silence() -> None:
    """A library that ends its process writes pages about it."""
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)


def _sheets(path: Path) -> dict[str, Rows]:
    from python_calamine import CalamineError, load_workbook

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as parts:
                if sum(part.file_size for part in parts.infolist()) > MAX_WORKBOOK_BYTES:
                    raise DataError(f"{path.name} unpacks to more than {MAX_WORKBOOK_BYTES:,} bytes; save it as CSV.")
                _check_formulas(parts, path.name)
        book = load_workbook(str(path))
        found = {}
        for name in book.sheet_names:
            sheet = book.get_sheet_by_name(name)
            check_size(path, sheet.height, sheet.width)
            found[name] = [[written(value) for value in row] for row in sheet.to_python()]
            _fill_merged(found[name], sheet.merged_cell_ranges or [], sheet.start or (0, 0))
        return found
    except (CalamineError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} cannot be read ({error}); save the sheet as CSV.") from None
    except Exception:
        raise
    except BaseException:  # a panic of the library, which cannot be sent to the process that waits
        os._exit(1)


def _check_formulas(parts: zipfile.ZipFile, name: str) -> None:
    """Raises DataError: formulas whose results no program has computed yet would be read as empty cells."""
    left_bytes = LOOK_SHEET_BYTES
    for part in (part for part in parts.namelist() if re.fullmatch(r"xl/worksheets/[^/]*\.xml", part)):
        with parts.open(part) as file:
            looked_at = file.read(left_bytes)
        left_bytes -= len(looked_at)
        found = FORMULA_WITHOUT_RESULT.findall(looked_at)
        if len(found) >= MANY_FORMULAS:
            raise DataError(
                f"{name} holds formulas without their results ({len(found):,} in {part}); open it in a spreadsheet "
                "program and save it again, or save the sheet as CSV."
            )


def _fill_merged(rows: Rows, merged: list[Any], start: tuple[int, int]) -> None:
    """What is written once for several rows below each other holds for each of them."""
    for (top, left), (bottom, _) in merged:
        at, first = left - start[1], top - start[0]
        value = rows[first][at] if 0 <= first < len(rows) and 0 <= at < len(rows[first]) else ""
        for row in rows[first + 1 : bottom - start[0] + 1] if value else ():
            if row[at]:  # merged twice
                break
            row[at] = value


def _workbook(path: Path, wanted: set[str]) -> Structured:
    """The sheet with the most wanted columns (in lower case), of several the one with the most cells."""
    sheets = read_workbook(path)
    filled = {name: [row for row in rows if any(row)] for name, rows in sheets.items()}

    def fitness(name: str) -> tuple[int, int]:
        heads = ({cell.casefold() for cell in row} for row in filled[name][:LOOK_ROWS])
        return max((len(wanted & head) for head in heads), default=0), sum(map(len, filled[name]))

    best = max(filled, key=fitness)
    if not wanted and filled[best]:
        check_one_table(sheets[best], path.name)
    rows, joined = (filled[best], {best}) if wanted else _with_other_parts(filled, best)
    rows, beside = without_tables_beside(rows) if rows and not wanted else (rows, [])
    used = [at for at in range(max(map(len, rows), default=0)) if any(row[at] for row in rows)]
    rows = [[row[at] for at in used] for row in rows]
    rows = _without_titles(rows)
    others = [name for name, content in filled.items() if content and name not in joined]
    left_out = [f"what stands in the other sheets ({', '.join(map(repr, others))})"] * bool(others) + beside
    return Structured(rows, left_out=left_out)


def _without_titles(rows: Rows) -> Rows:
    """The rows of three columns or more without those lines at the top of which only one cell is filled."""
    width = sum(map(any, zip(*rows, strict=True)))
    top = next((at for at, row in enumerate(rows) if sum(map(bool, row)) != 1), 0) if width > 2 else 0
    return rows[top:]


def _with_other_parts(sheets: dict[str, Rows], name: str) -> tuple[Rows, set[str]]:
    """The rows of a sheet and of those with the same header, with a column that tells the part (Train, Test) or sheet.

    Titles above the headers may differ.  A sheet that repeats rows of the others is another version of them, and none
    is joined.
    """
    bare = {other: _without_titles(rows) for other, rows in sheets.items()}
    head = bare[name][:1]
    alike = [other for other, rows in bare.items() if rows[:1] == head != []]
    parts = [other for other in alike if part_of(other)]
    by_part = len(parts) > 1 and name in parts and SPLIT not in head[0]
    held = [set(map(tuple, bare[other][1:])) for other in alike]
    repeated = len(set().union(*held)) < MIN_NEW_ROWS * sum(map(len, held))
    if not by_part and (len(alike) < 2 or SHEET in head[0] or repeated):
        return sheets[name], {name}
    taken, column = (parts, SPLIT) if by_part else (alike, SHEET)
    tell = part_of if by_part else str
    return [[*head[0], column], *([*row, tell(one)] for one in taken for row in bare[one][1:])], set(taken)


def _arrow(path: Path) -> Rows:
    """Parquet or Feather."""
    import pyarrow
    from pyarrow import feather, parquet

    try:
        if path.suffix.lower() == ".parquet":
            file = parquet.ParquetFile(path)
            check_size(path, file.metadata.num_rows, file.metadata.num_columns)
            groups = [file.metadata.row_group(at) for at in range(file.metadata.num_row_groups)]
            leaves = sum(group.column(at).num_values for group in groups for at in range(group.num_columns))
            check_size(path, leaves, 1)  # lists hold many values each
            if sum(group.total_byte_size for group in groups) > MAX_ARROW_BYTES:
                raise DataError(f"{path.name} unpacks to more than {MAX_ARROW_BYTES:,} bytes; upload a part of it.")
            table = file.read()
        else:
            table = feather.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path.name} is no whole Parquet or Feather file ({error}); save it as CSV.") from error
    check_size(path, table.num_rows, table.num_columns)
    table = table.select([name for name in table.column_names if not name.startswith("__index_level_")])
    for name, column in zip(table.column_names, table.columns, strict=True):
        _check_no_bytes(path, name, column.slice(0, LOOK_BYTES_ROWS).to_pylist())
    columns = [[written(value) for value in column.to_pylist()] for column in table.columns]
    for name, cells in zip(table.column_names, columns, strict=True):
        if max(map(len, cells), default=0) > MAX_LINE_BYTES:
            raise DataError(
                f"column {name!r} of {path.name} has a cell of more than {MAX_LINE_BYTES:,} letters; cut it."
            )
    return [list(table.column_names), *map(list, zip(*columns, strict=True))]


def _check_no_bytes(path: Path, column: str, values: Collection[Any]) -> None:
    """Raises DataError: the cells hold whole files, such as pictures."""
    if any(map(_holds_bytes, values)):
        raise DataError(f"column {column!r} of {path.name} holds files, such as pictures or sounds; {A_FILE_EACH}")


def _holds_bytes(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_holds_bytes, value.values() if isinstance(value, dict) else value))
    try:
        return isinstance(value, bytes) and "\0" in value.decode()
    except UnicodeDecodeError:
        return True


def _sqlite(path: Path) -> Rows:
    """The only table of a database."""
    query = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as base:
            names = [name for (name,) in base.execute(query)]
            if len(names) != 1:
                held = f"{len(names)} tables ({', '.join(names[:5])})"
                raise DataError(f"{path.name} holds {held}; export the one to learn from as CSV.")
            quoted = names[0].replace('"', '""')
            found = base.execute(f'select * from "{quoted}"')  # noqa: S608 (quoted)
            header = [column[0] for column in found.description]
            first = found.fetchmany(LOOK_BYTES_ROWS)
            for at, name in enumerate(header):
                _check_no_bytes(path, name, [row[at] for row in first])
            rows = [
                [written(value) for value in row] for row in chain(first, found.fetchmany(MAX_CELLS // len(header) + 1))
            ]
    except sqlite3.Error as error:
        raise DataError(f"{path.name} is no whole SQLite database ({error}); export the table as CSV.") from error
    check_size(path, len(rows), len(header))
    return [header, *rows]


def _arff(text: str, name: str) -> tuple[Rows, str]:
    """The rows of a (dense or sparse) ARFF file, and its label: the attribute named so, else a nominal last one.

    Of several labels a row (MEKA) the name of the relation says how many attributes they are.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("%")]
    start = next((at for at, line in enumerate(lines) if line.strip().lower() == "@data"), None)
    found = [match for line in lines[:start] if (match := ARFF_ATTRIBUTE.match(line.strip()))]
    if start is None or not found:
        raise DataError(f"{name} is no ARFF table: it lacks @attribute or @data lines; save it as CSV.")
    if any(match[2].strip().lower() == "relational" for match in found):
        what = "holds series in a relational attribute; give the .ts file of the same archive instead."
        raise DataError(f"{name} {what}")
    header = [match[1].strip("'\"") for match in found]
    nominal = [match[2].lstrip().startswith("{") for match in found]
    quote = "'" if "'" in "".join(lines[start + 1 : start + 50]) else '"'
    reader = csv.reader(lines[start + 1 :], quotechar=quote, escapechar="\\", doublequote=False, skipinitialspace=True)
    rows = []
    for number, cells in enumerate(reader, 1):
        row = (
            _sparse(cells, found, f"data line {number} of {name}")
            if cells[0].lstrip().startswith("{")
            else [cell.strip().strip("'\"") for cell in cells]
        )
        if len(row) != len(header):
            raise DataError(f"data line {number} of {name} has {len(row)} values instead of {len(header)}; correct it.")
        rows.append(row)
    named = [column for column in header if column.lower() in ("class", "label", "target")]
    label = named[0] if named else header[-1] if nominal[-1] else ""
    if several := MEKA_LABELS.search("\n".join(lines[:start])):  # the first so many attributes, or the last
        count = int(several[1])
        label = ",".join(header[:count] if count > 0 else header[count:])
    return [header, *rows], label


def _sparse(cells: list[str], attributes: list[re.Match[str]], where: str) -> list[str]:
    """{1 X, 3 Y}: what is left out is 0, which for a nominal attribute is its first value."""
    row = [m[2].strip("{} ").split(",")[0].strip(" '\"") if m[2].lstrip().startswith("{") else "0" for m in attributes]
    for cell in ",".join(cells).strip("{} ").split(","):
        at, _, value = cell.strip().partition(" ")
        if at and not (at.isdecimal() and len(at) <= MAX_DIGITS and int(at) < len(row)):
            raise DataError(f"{where} names attribute {at[:40]!r}; they count from 0 to {len(row) - 1}: correct it.")
        if at:
            row[int(at)] = value.strip(" '\"")
    return row
