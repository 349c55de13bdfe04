"""Edits of columns: values that count as missing, columns that are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from formatters.edits.listed import Edit, of_kind
from formatters.tables import files
from formatters.tables.columns import profile
from formatters.tables.files import TableUpload


def load(root: Path, edits: Sequence[Edit] = ()) -> TableUpload | None:
    """The edited table(s) of an upload; None when it is made of other things.

    Raises:
        DataError: a table cannot be read, or an edit names a column that is not there.
    """
    upload = files.load(root)
    if upload is None:
        return None
    for edit in of_kind(edits, "missing", "ignore"):
        for name in edit.columns:
            if name not in upload.table.columns:
                raise edit.misfit(f"names the column {name!r}, which is not there")
        upload = _with_missing(upload, edit) if edit.do == "missing" else _without_columns(upload, edit)
    return upload


def left_out(edits: Sequence[Edit]) -> set[str]:
    """Columns that nothing may be learned from."""
    return {name for edit in of_kind(edits, "ignore") for name in edit.columns}


def _with_missing(upload: TableUpload, edit: Edit) -> TableUpload:
    name, values = edit.columns[0], set(edit.values)
    at = upload.table.columns.index(name)
    rows = [[*row[:at], "", *row[at + 1 :]] if row[at] in values else row for row in upload.table.rows]
    table = replace(upload.table, rows=rows)
    anew = profile(name, table.column(name), table.delimiter)
    return replace(upload, table=table, columns=[anew if c.name == name else c for c in upload.columns])


def _without_columns(upload: TableUpload, edit: Edit) -> TableUpload:
    ignored = [replace(c, why_ignored="you left it out") if c.name in edit.columns else c for c in upload.columns]
    return replace(upload, columns=ignored)
