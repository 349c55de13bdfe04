"""Tables: one row a sample, one feature a column (dates: three); categories by code, missing = NaN.

The target may stand anywhere (``target.py``); identifiers, constants and free text are told and left out.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Table, spec_of
from formatters.edits import fixes
from formatters.edits.columns import load
from formatters.edits.labels import edited_rows
from formatters.labels.row_labels import RowLabels, read_labels
from formatters.labels.target import Target, choose
from formatters.modalities.cells import cell_doubts
from formatters.tables.columns import (
    MAX_CATEGORIES,
    Column,
    as_label,
    categories_beyond,
    date_order,
    describe,
    encode_cells,
    encoder,
    in_date_order,
    mean_chars,
)
from formatters.tables.dates import Moments
from formatters.tables.files import TableUpload, groups_of
from formatters.tables.fit import Flaws, fit
from formatters.tables.kind import judge
from formatters.tables.new_rows import for_each_file, layout, read_new_rows, write_new_rows
from formatters.words import counted

NINES = re.compile(r"-9{1,6}|9{2,6}")
MIN_OTHERS = 5  # values of a column beside those that may stand for missing ones
RUNS_BEYOND_CHANCE = 3  # rows of one class in a run, over what their shares make
MAX_RECORDINGS_SHARE = 0.02  # of the rows begin another one
MIN_RUN_ROWS = 10  # of one class
LEAK_MAX_VALUES = 50
SENTENCE_CHARS = 40  # on average: longer than names and titles
LEAK_MIN_ROWS_A_VALUE = 5
LEAK_MIN_ROWS = 50  # for ranges of a number
VOTES_SHARE = 0.95  # of the rows whose label has the most votes
MAX_PROBLEMS = 5  # told of one new row


def sniff(root: Path, options: Options) -> Evidence | None:
    return judge(root, options).get("tabular")


def read(root: Path, options: Options) -> Table:
    upload = load(root, options.edits)
    if upload is None:
        raise DataError("the upload holds no table; give a CSV or TSV file with one row per sample.")
    columns, unsure = in_date_order(upload.columns, options.date_order)
    upload = replace(upload, columns=columns)
    target = choose(upload.table, upload.columns, options.target)
    labels = read_labels(upload.table, upload.columns, target, options.label_cuts)
    labels, samples = edited_rows(labels, upload.sources, upload.sides, options)
    features = [c for c in upload.columns if c.name not in target.columns and not c.why_ignored]
    if not features:
        raise DataError(
            f"{upload.table.file_name} has no column to learn from beside the label "
            f"({_ignored_columns(upload, target)}); add columns with numbers or categories."
        )
    kept = [i for i, row in enumerate(labels.rows) if row is not None]
    encoders = [encoder(column) for column in features]
    cells = [upload.table.column(column.name) for column in features]
    matrix = _matrix(encoders, cells, [column.moments for column in features])[kept]
    shown = [(at, name) for at, name in enumerate(upload.table.columns) if name not in target.columns]
    ids = {column.name for column in upload.columns if column.type == "id"}
    alike = [at for at, name in shown if name not in ids]  # rows count as copies if all but their ids is the same
    names = [feature for row in encoders for feature in row["features"]]
    return Table(
        modality="tabular",
        samples=samples,
        label_names=labels.names,
        multi_label=labels.multi_label,
        spec=Spec(
            name=options.name or "table",
            sample_count=len(kept),
            output_dim=len(labels.names),
            col_count=len(names),
            label_to_index={name: index for index, name in enumerate(labels.names)},
            feature_to_index={name: index for index, name in enumerate(_distinct(names))},
        ),
        steps=lambda i: matrix[i].reshape(1, 1, -1, 1),
        preview=lambda i, path: {"kind": "row", "row": {name: upload.table.rows[kept[i]][at] for at, name in shown}},
        write_raw=lambda picks, folder: write_new_rows(upload.table, target.columns, [kept[i] for i in picks], folder),
        groups=groups_of(upload, target.columns, kept),
        cells=lambda name: [upload.table.column(name)[i] for i in kept],
        recipe={"columns": encoders, "table": layout(upload.table, target.columns), "packages": upload.packages},
        digest=lambda i: "\x1f".join(upload.table.rows[kept[i]][at] for at in alike).encode(),
        findings=Findings(
            why=[target.why, *upload.why],
            doubts=[
                *upload.doubts_for(target.columns),
                *target.doubts,
                *labels.doubts,
                *_doubts(upload, target, features, labels),
                *(_order_doubt(column) for column in unsure if column in features and not options.date_order),
            ],
            ignored=upload.ignored,
            columns=describe_columns(upload, target, {column.name for column in features}),
            target=",".join(target.columns),
            target_candidates=target.candidates,
            choices={"date_order": date_order(unsure[0])} if unsure else {},
        ),
    )


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    """New rows of tables of any format, with or without the label column."""
    new = NewData(spec_of(recipe))
    flaws = Flaws()

    def read(path: Path, name: str) -> None:
        rows = read_new_rows(path, name, recipe["table"], [row["name"] for row in recipe["columns"]])
        columns, differs = fit(recipe["columns"], rows.cells, rows.delimiter)
        matrix = _matrix(columns, rows.cells, [{}] * len(columns))
        told: dict[int, list[str]] = {}
        places = np.cumsum([0, *(len(row["features"]) for row in columns)])
        for row, cells, place in zip(columns, rows.cells, places[:-1], strict=True):
            for at, problem in flaws.find(row, cells, matrix[:, place]).items():
                told.setdefault(at, []).append(problem)
        for at, values in enumerate(matrix):
            whole = at not in rows.unread
            problem = _joined(told.get(at, [])) if whole else rows.unread[at]
            new.add(rows.names[at], values.reshape(1, 1, -1, 1) if whole else None, problem)
        new.notes += [*rows.notes, *(f"{path.name}: {what}" for what in differs)]

    for_each_file(new, source, read)
    new.notes += flaws.notes()
    return new


def _joined(problems: list[str]) -> str:
    more = len(problems) - MAX_PROBLEMS
    return "; ".join(problems[:MAX_PROBLEMS] + [f"and {more:,} more"] * (more > 0))


def _matrix(encoders: list[dict[str, Any]], columns: list[list[str]], moments: list[Moments]) -> np.ndarray:
    """(N, F) float32."""
    return np.concatenate(
        [encode_cells(*column) for column in zip(encoders, columns, moments, strict=True)],
        axis=1,
    )


def _distinct(names: list[str]) -> list[str]:
    """A date's parts may be called as another column is."""
    first = {name: at for at, name in reversed(list(enumerate(names)))}
    return [name if first[name] == at else f"{name} #{at}" for at, name in enumerate(names)]


def describe_columns(upload: TableUpload, target: Target, features: set[str]) -> list[dict[str, Any]]:
    """``columns`` of the report, in the order of the table."""
    rows = []
    for column in upload.columns:
        if column.name in target.columns:
            rows.append(describe(as_label(column), "target", target.why))
        elif column.name in features:
            rows.append(describe(column, "feature", _how_used(column)))
        else:
            rows.append(describe(column, "ignored", column.why_ignored or "only the others are used"))
    return rows


def _how_used(column: Column) -> str:
    if column.type == "date":
        return "split into days since 1970, weekday and month"
    row = encoder(column)
    if row.get("other") and not row["categories"]:
        return "only whether it is filled in, since hardly any value comes back"
    if row.get("other"):
        return f"the {len(row['categories'])} most frequent values have a code, the others share one"
    return "categories by code, most frequent first" if "categories" in row else ""


def _ignored_columns(upload: TableUpload, target: Target) -> str:
    ignored = [f"{c.name!r}: {c.why_ignored}" for c in upload.columns if c.why_ignored and c.name not in target.columns]
    return "; ".join(ignored[:6]) + (f"; and {len(ignored) - 6} more" if len(ignored) > 6 else "")


def _doubts(upload: TableUpload, target: Target, features: list[Column], labels: RowLabels) -> list[Doubt]:
    doubts = []
    texts = [c for c in upload.columns if c.type == "text" and c.name not in target.columns]
    if any(mean_chars(column.counts) >= SENTENCE_CHARS for column in texts):
        what = f"a table learns nothing from free text ({', '.join(repr(column.name) for column in texts)})"
        fix = "choose the modality text to learn from the text instead"
        doubts.append(Doubt(what, fix, texts[0].name, fixes=fixes.read_as("text", "text")))
    ignored = _ignored_columns(upload, target)
    if ignored:
        what = f"columns that are not used: {ignored}"
        doubts.append(Doubt(what, "nothing needs to be done if that is right", "", "info"))
    for column in features:
        if column.unreadable:
            count = sum(column.counts[cell] for cell in column.unreadable)
            what = f"{count:,} cells of the {column.type} column {column.name!r} are no {column.type}s (such as "
            what += f"{column.unreadable[0]!r}) and count as missing"
            cells = fixes.missing(column.name, column.unreadable)
            doubts.append(Doubt(what, "correct these cells, or leave them empty", column.name, fixes=cells))
        beyond = categories_beyond(column)
        if beyond:
            what = f"column {column.name!r} has many categories: the {MAX_CATEGORIES} most frequent have a code each, "
            what += f"and {beyond:,} others that come back share one with the rare values"
            doubts.append(Doubt(what, "group the values if the others matter", column.name))
        marked = list(filter(column.writing.is_marked, column.numbers))
        if marked:
            what = f"column {column.name!r} holds limits or marks such as {marked[0]!r}, read as the number itself"
            cells = fixes.missing(column.name, marked)
            doubts.append(Doubt(what, "leave these cells empty if that is wrong", column.name, "info", cells))
        fillers = _fillers(column)
        if fillers:
            what = f"column {column.name!r} holds {_listed_numbers(column, fillers)}, far from its other values, as if "
            what += "that stood for a missing value"
            cells = fixes.missing(column.name, fillers)
            doubts.append(Doubt(what, "leave these cells empty if they are missing", column.name, fixes=cells))
        if not labels.multi_label and _tells_the_label(column, upload, labels):
            what = f"column {column.name!r} alone tells the label of every row; a model may have nothing left to learn"
            fix = "remove the column if it will not be known for new data"
            others = len(features) > 1
            doubts.append(Doubt(what, fix, column.name, fixes=fixes.ignore([column.name]) if others else []))
    doubts += cell_doubts(upload, target, features)
    doubts += _time_doubts(upload, labels)
    votes = [] if labels.multi_label else _votes(features, upload, labels)
    if votes:
        what = f"the largest of the columns {', '.join(map(repr, votes))} is the label, as if they counted votes for it"
        fix = "remove these columns if they will not be known for new data"
        others = len(features) > len(votes)
        doubts.append(Doubt(what, fix, votes[0], fixes=fixes.ignore(votes) if others else []))
    return doubts


def _time_doubts(upload: TableUpload, labels: RowLabels) -> list[Doubt]:
    """Rows that follow one another in time and seldom change their class: their neighbours are like copies."""
    changes = sum(one != other for one, other in pairwise(labels.rows))
    if labels.multi_label or any(upload.sides) or changes < len(labels.names):
        return []
    length = len(labels.rows) / (changes + 1)
    shares = [count / len(labels.rows) for count in Counter(labels.rows).values()]
    by_chance = 1 / max(1e-9, 1 - sum(share**2 for share in shares))
    if length < max(MIN_RUN_ROWS, RUNS_BEYOND_CHANCE * by_chance):
        return []
    for column in upload.columns:
        if not _is_in_order(column, upload.table.column(column.name)):
            continue
        what = (
            f"the rows stand in the order of {column.name!r} and keep their class for {length:,.0f} rows on average, "
        )
        what += "so test rows have neighbours among the train rows, and scores look better than on another recording"
        fix = "add a column that numbers the recordings and group the split by it, or give train and test in two files"
        return [Doubt(what, fix, column.name)]
    return []


def _is_in_order(column: Column, cells: list[str]) -> bool:
    """Do its dates never go back, or its numbers only where another recording begins?"""
    if column.missing or (column.why_ignored and not column.moments):
        return False
    places = column.numbers or {cell: moment.timestamp() for cell, moment in column.moments.items()}
    if len(places) < len(column.counts) or len(places) < MIN_RUN_ROWS:
        return False
    falls = sum(places[one] > places[other] for one, other in pairwise(cells))
    rises = sum(places[one] < places[other] for one, other in pairwise(cells))
    return falls == 0 if column.moments else 2 * rises > len(cells) and falls < MAX_RECORDINGS_SHARE * len(cells)


def _order_doubt(column: Column) -> Doubt:
    cell, moment = next(iter(column.moments.items()))
    what = f"the dates of column {column.name!r} were read with the {date_order(column)} first "
    what += f"({cell!r} as {moment:%d %B %Y}), but their days could be months as well"
    fix = "choose the order of dates (--date-order on the command line), or write them as 2024-12-31"
    other = "month" if date_order(column) == "day" else "day"
    return Doubt(what, fix, column.name, fixes=fixes.date_order(other))


def _fillers(column: Column) -> list[str]:
    """Numbers of nines (-999, 9999) that come back and stand farther from the others than these are spread."""
    nines = {
        cell for cell, value in column.numbers.items() if NINES.fullmatch(f"{value:g}") and column.counts[cell] > 1
    }
    others = [value for cell, value in column.numbers.items() if cell not in nines]
    if column.type != "number" or not nines or len(others) < MIN_OTHERS:
        return []
    low, high = min(others), max(others)
    return [cell for cell in sorted(nines) if not low - (high - low) <= column.numbers[cell] <= high + (high - low)]


def _listed_numbers(column: Column, cells: list[str]) -> str:
    return " and ".join(f"{cell} {counted(column.counts[cell], 'time')}" for cell in cells)


def _tells_the_label(column: Column, upload: TableUpload, labels: RowLabels) -> bool:
    """Has each value, or each range of values, one label?"""
    values = len(column.counts)
    if column.missing or column.present < LEAK_MIN_ROWS_A_VALUE * len(labels.names):
        return False
    pairs = set(zip(upload.table.column(column.name), labels.rows, strict=True))
    if len(pairs) != values:
        return False
    if values <= LEAK_MAX_VALUES and column.present >= LEAK_MIN_ROWS_A_VALUE * values:
        return True
    places = column.numbers or {cell: moment.timestamp() for cell, moment in column.moments.items()}
    if len(places) != values or column.present < LEAK_MIN_ROWS:
        return False
    order = [label for _, label in sorted((places[cell], label or ()) for cell, label in pairs)]
    return sum(one != other for one, other in pairwise(order)) == len(labels.names) - 1


def _votes(features: list[Column], upload: TableUpload, labels: RowLabels) -> list[str]:
    """The columns of whole numbers, one a class, the largest of which is the label of nearly every row; else []."""
    tallies = [c for c in features if c.numbers and all(v >= 0 and v.is_integer() for v in c.numbers.values())]
    rows = [at for at, row in enumerate(labels.rows) if row is not None and len(row) == 1]
    index = {name: at for at, name in enumerate(labels.names)}
    if not 2 < len(labels.names) <= len(tallies) or len(rows) < LEAK_MIN_ROWS:
        return []
    classes = np.array([index[(labels.rows[at] or ("",))[0]] for at in rows])
    cells = [upload.table.column(column.name) for column in tallies]
    counts = np.array([[c.numbers.get(own[at], 0.0) for at in rows] for c, own in zip(tallies, cells, strict=True)])
    inside = np.stack([counts[:, classes == k].mean(1) for k in range(len(index)) if (classes == k).any()])
    if len(inside) < len(index):
        return []
    best = (inside - counts.mean(1)).argmax(1)  # (classes,): the column that stands for each
    right = counts[best].argmax(0) == classes
    return [tallies[at].name for at in best] if len(set(best)) == len(best) and right.mean() >= VOTES_SHARE else []
