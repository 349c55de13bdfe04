"""Edits of the split, and of copies: they need the samples that were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from automl_engine.errors import DataError
from formatters.base import Sample, Side, Table
from formatters.edits.copies import disputed, originals, sets_of_copies
from formatters.edits.listed import Edit, of_kind
from formatters.groups import groups_in_names
from formatters.leaks import Alike
from formatters.split import Split


def edited_table(table: Table, edits: Sequence[Edit]) -> Table:
    """The table without the copies that an edit leaves out, its samples with the sides and groups that edits give.

    Raises:
        DataError: an edit names a column or a value that is not there.
    """
    for edit in of_kind(edits, "keep one copy", "drop disputed copies"):
        sets = sets_of_copies(originals(table))
        if edit.do == "keep one copy":
            left_out = {i for same in sets for i in same[1:]}
        else:
            left_out = {i for same in sets if disputed(table, same) for i in same}
        table = picked(table, [i for i in range(len(table.samples)) if i not in left_out])
        if not table.samples:
            raise edit.misfit("leaves no sample")
    for edit in of_kind(edits, "group", "split", "split anew"):
        table = replace(table, samples=_sided(table, edit))
    return table


def picked(table: Table, kept: list[int]) -> Table:
    """Some of the samples, in this order."""
    if len(kept) == len(table.samples):
        return table
    steps, preview, write_raw, digest, cells = table.steps, table.preview, table.write_raw, table.digest, table.cells
    place = {i: at for at, i in enumerate(kept)}
    compare = table.alike

    def alike(train: Sequence[int], test: Sequence[int]) -> Alike:
        assert compare
        found = compare([kept[i] for i in train], [kept[i] for i in test])
        near, similar = ([(place[a], place[b]) for a, b in pairs] for pairs in found)
        return near, similar

    return replace(
        table,
        samples=[table.samples[i] for i in kept],
        steps=lambda i: steps(kept[i]),
        preview=lambda i, path: preview(kept[i], path),
        write_raw=lambda picks, folder: write_raw([kept[i] for i in picks], folder),
        digest=digest and (lambda i: digest(kept[i])),
        alike=compare and alike,
        cells=cells and (lambda name: [cells(name)[i] for i in kept]),
        groups={name: [values[i] for i in kept] for name, values in table.groups.items()},
    )


def _sided(table: Table, edit: Edit) -> list[Sample]:
    if edit.do == "split anew":
        return [replace(sample, split=None, kept_side=None) for sample in table.samples]
    cells = _cells(table, edit)
    if edit.do == "group":
        pairs = zip(table.samples, cells, strict=True)
        return [replace(sample, split=None, kept_side=None, group=cell or None) for sample, cell in pairs]
    unknown = [value for value in edit.values if value not in set(cells)]
    if unknown:
        raise edit.misfit(f"names {unknown[0]!r}, which column {edit.columns[0]!r} does not hold")
    sides: list[Side] = ["test" if cell in edit.values else "train" for cell in cells]
    if "train" not in sides:
        raise edit.misfit("puts all samples into the test set")
    return [replace(sample, split=side) for sample, side in zip(table.samples, sides, strict=True)]


def _cells(table: Table, edit: Edit) -> list[str]:
    """What each sample holds in the column that the edit names."""
    name = edit.columns[0]
    groups = origins(table)
    if name in groups:
        return groups[name]
    if table.cells is None or name not in {column["name"] for column in table.findings.columns}:
        raise edit.misfit(f"names the column {name!r}, which is not there")
    return table.cells(name)


def origins(table: Table) -> dict[str, list[str]]:
    """Who or what each sample comes from, by the columns of a table, or by the names of files where it does not say."""
    if any(sample.group for sample in table.samples):
        return {"group": [sample.group or "" for sample in table.samples]} | table.groups
    labels = [sample.labels for sample in table.samples]
    return table.groups or groups_in_names([sample.source for sample in table.samples], labels)


def edited_split(table: Table, parts: Split, edits: Sequence[Edit]) -> Split:
    """Test samples that have a copy among the train samples move there, again until there are none.

    Raises:
        DataError: none is left to test with.
    """
    kinds = {edit.do for edit in of_kind(edits, "copies to train", "similar to train")}
    if not kinds:
        return parts
    first = originals(table)
    while True:
        known = set(first[parts.train])
        found = table.alike(parts.train, parts.test) if table.alike else ([], [])
        pairs = found[0] + found[1] * ("similar to train" in kinds)
        moved = {i for i in parts.test if first[i] in known} | {i for i, _ in pairs}
        if not moved:
            return parts
        rest = [i for i in parts.test if i not in moved]
        if not rest:
            raise DataError("Every test sample is like a train sample, so none is left to test with; undo this edit.")
        parts = replace(parts, train=parts.train + [i for i in parts.test if i in moved], test=rest)
