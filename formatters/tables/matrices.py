"""Matrices as the AutoML challenge stored them: NAME_train.data beside NAME_train.solution, numbers without a header.

A row is dense ("0.5 1 0"), sparse ("3:0.5 17:1") or the places of its ones ("3 17"); places count from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from automl_engine.errors import DataError
from formatters.encodings import decode_text
from formatters.tables.reader import RawFindings, RawTable, ReadTable, check_lines
from formatters.tables.records import check_size
from formatters.words import counted

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|nan", re.IGNORECASE)
PAIR = re.compile(rf"\d{{1,9}}:({NUMBER.pattern})", re.IGNORECASE)
LOOK_LINES = 20
Rows = list[list[str]]


def matrices(root: Path, paths: Sequence[str]) -> dict[str, ReadTable]:
    """The .data files by path, with label columns where a .solution of the same name stands beside; {} if none does.

    Raises:
        DataError: a pair of them differs in lines, or a line is no row of the matrix.
    """
    data = [path for path in paths if path.endswith(".data") and (root / path).stat().st_size]
    solved = {path: path.removesuffix(".data") + ".solution" for path in data}
    solved = {path: solution for path, solution in solved.items() if solution in paths}
    if not solved or not all(_is_numeric(root / path) for path in [*data, *solved.values()]):
        return {}
    labels = {path: _written(_lines(root / solution)) for path, solution in solved.items()}
    lines = {path: _lines(root / path) for path in data}
    lines = {path: _written(rows, len(labels.get(path, rows))) for path, rows in lines.items()}
    sparse = _is_sparse(lines)
    found = _filled(lines) if sparse else {path: _written(rows) for path, rows in lines.items()}
    width = len(found[data[0]][0])
    columns = _names(root, paths, "feat", width) or [f"column_{i}" for i in range(width)]
    for path, rows in labels.items():
        if len(rows) != len(found[path]):
            raise DataError(
                f"{path} has {len(found[path]):,} lines but {solved[path]} has {len(rows):,}; give each row its labels."
            )
    target, labels = _decoded(root, paths, labels)
    note = f"numbers without a header, as in the AutoML challenge; the labels stand in {', '.join(solved.values())}"
    kind: Literal["dense", "sparse"] = "sparse" if sparse else "dense"
    tables = {
        path: (RawTable(columns, rows, False, " ", path, matrix=kind), RawFindings()) for path, rows in found.items()
    }
    for path, cells in labels.items():
        rows = [[*row, *own] for row, own in zip(found[path], cells, strict=True)]
        label = ",".join(target)
        tables[path] = RawTable([*columns, *target], rows, False, " ", path, label, kind), RawFindings([note])
    return tables


def read_new_matrix(path: Path, columns: Sequence[str], sparse: bool) -> ReadTable:
    """New rows for a model of matrices, one for each line; a line that is no such row is kept empty, with the reason.

    Places that the model does not know are left out, and told.
    """
    lines = _lines(path) if sparse else _written(_lines(path))
    width = len(columns)
    check_size(path, len(lines), width)
    table, findings = RawTable(list(columns), [], False, " ", path.name), RawFindings()
    beyond = []
    for number, cells in enumerate(lines, 1):
        row = cells
        if sparse:
            try:
                places = _places(cells, f"line {number} of {path.name}")
            except DataError as error:
                places, findings.unread[number - 1] = {}, str(error)
            beyond += [f"place {at} of line {number}" for at in places if at > width]
            row = _dense(places, width)
        elif len(cells) != width:
            have = counted(len(cells), "number")
            findings.unread[number - 1] = f"line {number} of {path.name} has {have} but the model needs {width:,}."
            row = [""] * width
        table.rows.append(row)
    if beyond:
        more = f", like {len(beyond) - 1:,} more," if len(beyond) > 1 else ""
        findings.left_out.append(f"{beyond[0]}, which{more} is beyond the {width:,} columns of the model")
    return table, findings


def _is_numeric(path: Path) -> bool:
    check_lines(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line for _, line in zip(range(LOOK_LINES), file, strict=False)]
    return all(PAIR.fullmatch(cell) or NUMBER.fullmatch(cell) for line in lines for cell in line.split())


def _lines(path: Path) -> Rows:
    """The cells of all lines; a sparse row of zeros may be an empty one."""
    text, _ = decode_text(path)
    return [line.split() for line in text.removesuffix("\n").split("\n")]


def _written(rows: Rows, count: int = 0) -> Rows:
    """Without the empty lines at the end, down to ``count`` rows."""
    end = len(rows)
    while end > count and not rows[end - 1]:
        end -= 1
    return rows[:end]


def _is_sparse(found: dict[str, Rows]) -> bool:
    widths = {len(row) for rows in found.values() for row in _written(rows)}
    return len(widths) > 1 or any(":" in cell for rows in found.values() for row in rows[:LOOK_LINES] for cell in row)


def _filled(found: dict[str, Rows]) -> dict[str, Rows]:
    """Sparse rows with their zeros, all of one width."""
    places = {
        path: [_places(row, f"line {i} of {path}") for i, row in enumerate(rows, 1)] for path, rows in found.items()
    }
    width = max((at for rows in places.values() for row in rows for at in row), default=0)
    check_size(Path(next(iter(found))), sum(map(len, places.values())), width)
    return {path: [_dense(row, width) for row in rows] for path, rows in places.items()}


def _dense(row: dict[int, str], width: int) -> list[str]:
    return [row.get(at, "0") for at in range(1, width + 1)]


def _places(row: list[str], where: str) -> dict[int, str]:
    """Sparse cells by place."""
    cells = [cell.partition(":") for cell in row]
    wrong = [at + colon + value for at, colon, value in cells if not (at.isascii() and at.isdecimal() and int(at))]
    wrong += [f"{at}:{value}" for at, colon, value in cells if colon and not NUMBER.fullmatch(value)]
    if wrong:
        raise DataError(
            f"{where} holds {wrong[0]!r}; all rows need as many numbers, or pairs such as 3:0.5 that count from 1."
        )
    return {int(at): value if colon else "1" for at, colon, value in cells}


def _decoded(root: Path, paths: Sequence[str], labels: dict[str, Rows]) -> tuple[list[str], dict[str, Rows]]:
    """(names of the label columns, their cells): one column of classes, or a 0/1 column for each label that varies."""
    every = [row for rows in labels.values() for row in rows]
    count = len(every[0])
    if any(len(row) != count for row in every):
        raise DataError(f"the lines of {next(iter(labels))} and the like differ in the number of labels; correct them.")
    if count == 1:
        names = _names(root, paths, "label", 2)
        known = {"0": names[0], "1": names[1]} if names else {}
        return ["label"], {path: [[known.get(row[0], row[0])] for row in rows] for path, rows in labels.items()}
    names = _names(root, paths, "label", count)
    if all(sum(map(float, row)) == 1 == max(map(float, row)) for row in every):
        classes = names or [str(i) for i in range(count)]
        marked = {path: [list(map(float, row)).index(1) for row in rows] for path, rows in labels.items()}
        return ["label"], {path: [[classes[at]] for at in places] for path, places in marked.items()}
    varied = [at for at, cells in enumerate(zip(*every, strict=True)) if len(set(cells)) > 1]
    names = [(names or [f"label_{i}" for i in range(count)])[at] for at in varied]
    return names, {path: [[row[at] for at in varied] for row in rows] for path, rows in labels.items()}


def _names(root: Path, paths: Sequence[str], kind: str, count: int) -> list[str]:
    """The names in NAME_feat.name or NAME_label.name; [] where they do not fit."""
    for path in paths:
        if path.endswith(f"_{kind}.name"):
            names = [line.strip() for line in decode_text(root / path)[0].split("\n") if line.strip()]
            if len(set(names)) == len(names) == count and not any("," in name for name in names):
                return names
    return []
