"""A table with a series in each row: a column a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Sample
from formatters.labels.row_labels import read_labels
from formatters.labels.target import choose
from formatters.series.cases import Cases, flaw, stack, strange_cells, uses_decimal_comma
from formatters.tables.columns import Column, describe
from formatters.tables.files import groups_of, load
from formatters.tables.kind import judge, series_channels
from formatters.tables.new_rows import for_each_file, layout, read_new_rows, write_new_rows
from formatters.words import counted


def sniff(root: Path, options: Options) -> Evidence | None:
    return judge(root, options).get("timeseries")


def read(root: Path, options: Options) -> Cases:
    upload = load(root)
    if upload is None:
        raise DataError("the upload holds no time series; give a .ts file, or a CSV with a series in each row.")
    target = choose(upload.table, upload.columns, options.target)
    labels = read_labels(upload.table, upload.columns, target, options.label_cuts)
    channels = series_channels(upload, target.columns)
    if not channels:
        features = [c for c in upload.columns if c.name not in target.columns and c.numbers and c.type != "id"]
        channels = [[column.name for column in features]]
    if len(channels[0]) < 2:
        raise DataError(f"{upload.table.file_name} has fewer than two columns of numbers; a series needs one per step.")
    kept = [i for i, row in enumerate(labels.rows) if row is not None]
    used = {name for names in channels for name in names}
    cells = [[upload.table.column(name) for name in names] for names in channels]
    decimal_comma = any(column.decimal_comma for column in upload.columns if column.name in used)
    series = stack(cells, decimal_comma)
    steps, ends = f"{len(channels[0]):,} steps", f"{channels[0][0]!r} to {channels[-1][-1]!r}"
    return Cases(
        series=[series[i] for i in kept],
        samples=[Sample(upload.sources[i], labels.rows[i] or (), upload.sides[i]) for i in kept],
        label_names=labels.names,
        multi_label=labels.multi_label,
        findings=Findings(
            why=[
                target.why,
                f"the columns {ends} are the {steps} of {counted(len(channels), 'channel')}",
                *upload.why,
            ],
            doubts=upload.doubts_for(target.columns) + target.doubts + labels.doubts,
            ignored=upload.ignored,
            columns=[_describe(column, target.columns) for column in upload.columns if column.name not in used],
            target=",".join(target.columns),
            target_candidates=[name for name in target.candidates if name not in used],
        ),
        recipe={
            "layout": "wide",
            "series_columns": channels,
            "decimal_comma": decimal_comma,
            "table": layout(upload.table, target.columns),
            "packages": upload.packages,
        },
        write_raw=lambda picks, folder: write_new_rows(upload.table, target.columns, [kept[i] for i in picks], folder),
        groups=groups_of(upload, target.columns, kept),
    )


def _describe(column: Column, target: tuple[str, ...]) -> dict[str, Any]:
    if column.name in target:
        return describe(column, "target")
    return describe(column, "ignored", column.why_ignored or "only the series is used")


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """The rows of tables laid out as the training data."""
    channels = recipe["series_columns"]
    steps = len(channels[0])

    def read(path: Path, name: str) -> None:
        rows = read_new_rows(path, name, recipe["table"], [name for channel in channels for name in channel])
        decimal_comma = uses_decimal_comma(rows.cells, rows.delimiter, recipe["decimal_comma"])
        series = stack([rows.cells[at : at + steps] for at in range(0, len(rows.cells), steps)], decimal_comma)
        strange = strange_cells(rows.cells, series.transpose(0, 2, 1).reshape(len(series), -1))
        for at, case in enumerate(series):
            whole = at not in rows.unread
            new.add(rows.names[at], case if whole else None, flaw(strange.get(at, [])) if whole else rows.unread[at])
        new.notes += rows.notes

    for_each_file(new, source, read)
