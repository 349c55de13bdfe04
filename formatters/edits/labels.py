"""Edits of samples and classes, where samples are born, so that all that is found later is found in the edited data.

Each sample keeps the side of the split that it has without edits, so that the scores of two versions can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from formatters.base import Options, Sample, Side
from formatters.edits.listed import Edit, of_kind
from formatters.labels.row_labels import RowLabels
from formatters.media.labels import Labelled
from formatters.media.order import natural
from formatters.series.cases import Cases
from formatters.split import split

Labels = tuple[str, ...]
EDITS = ("exclude", "relabel", "merge", "drop")


@dataclass(frozen=True)
class Edited:
    """The samples that stay, their places among all, and the classes in index order."""

    samples: list[Sample]
    kept: list[int]
    names: list[str]


def edit_samples(options: Options, samples: list[Sample], names: list[str], multi_label: bool) -> Edited:
    """Apply the edits of samples and classes in their order.

    Raises:
        DataError: an edit names a sample or class that is not there, or gives labels that cannot be.
    """
    edits = of_kind(options.edits, *EDITS)
    if not edits:
        return Edited(samples, list(range(len(samples))), names)
    now: list[Labels | None] = [sample.labels for sample in samples]
    places = {sample.source: at for at, sample in enumerate(samples)}
    for edit in edits:
        if edit.items:
            _edit_items(edit, now, places, multi_label)
        else:
            _edit_classes(edit, now, multi_label)
    before = {label for sample in samples for label in sample.labels}
    after = {label for own in now for label in own or ()}
    stay = [name for name in names if name in after or name not in before]
    pairs = zip(samples, now, _sides(samples, names, options), strict=True)
    edited = [None if own is None else replace(sample, labels=own, kept_side=side) for sample, own, side in pairs]
    return Edited(
        [sample for sample in edited if sample],
        [at for at, sample in enumerate(edited) if sample],
        stay + sorted(after - set(stay), key=natural),
    )


def _sides(samples: list[Sample], names: list[str], options: Options) -> list[Side]:
    """Without edits."""
    test = set(split(samples, names, options.test_size, options.seed).test)
    return ["test" if at in test else "train" for at in range(len(samples))]


def _edit_items(edit: Edit, now: list[Labels | None], places: dict[str, int], multi_label: bool) -> None:
    if edit.do == "relabel" and not multi_label and len(edit.to) != 1:
        raise edit.misfit(f"gives {len(edit.to)} labels, but each sample has one class")
    for item in edit.items:
        if item not in places:
            raise edit.misfit(f"names {item!r}, which is no sample of the upload")
        now[places[item]] = None if edit.do == "exclude" else tuple(dict.fromkeys(edit.to))


def _edit_classes(edit: Edit, now: list[Labels | None], multi_label: bool) -> None:
    there = {label for own in now for label in own or ()}
    unknown = [name for name in edit.classes if name not in there]
    if unknown:
        raise edit.misfit(f"names the class {unknown[0]!r}, which no sample has")
    renamed = {name: label for label in edit.to for name in edit.classes}
    for at, own in enumerate(now):
        if own and not there.isdisjoint(own):
            left = tuple(dict.fromkeys(renamed.get(name, name) for name in own if renamed or name not in edit.classes))
            now[at] = left if left or multi_label else None


def without_columns(edits: Sequence[Edit], why: str) -> None:
    """Raises DataError for edits of columns where there are none."""
    for edit in of_kind(edits, "missing", "ignore"):
        raise edit.misfit(f"names a column, but {why}")


def edited_files(found: Labelled, options: Options) -> Labelled:
    """Files with labels."""
    without_columns(options.edits, "the samples are files")
    done = edit_samples(options, found.samples, found.label_names, found.multi_label)
    return replace(found, paths=[found.paths[i] for i in done.kept], samples=done.samples, label_names=done.names)


def edited_rows(
    found: RowLabels, sources: Sequence[str], sides: Sequence[Side | None], options: Options
) -> tuple[RowLabels, list[Sample]]:
    """Rows of a table, of which those that are excluded count as if they had no label; the samples that are left."""
    rows = [(at, row) for at, row in enumerate(found.rows) if row is not None]
    samples = [Sample(sources[at], row, sides[at]) for at, row in rows]
    done = edit_samples(options, samples, found.names, found.multi_label)
    labels: list[Labels | None] = [None] * len(found.rows)
    for at, sample in zip(done.kept, done.samples, strict=True):
        labels[rows[at][0]] = sample.labels
    return replace(found, rows=labels, names=done.names), done.samples


def edited_series(cases: Cases, options: Options) -> Cases:
    """Series of any layout."""
    without_columns(options.edits, "the data is read as time series")
    done = edit_samples(options, cases.samples, cases.label_names, cases.multi_label)
    kept = done.kept
    return replace(
        cases,
        series=[cases.series[i] for i in kept],
        samples=done.samples,
        label_names=done.names,
        write_raw=_of_kept(cases.write_raw, kept),
        groups={name: [values[i] for i in kept] for name, values in cases.groups.items()},
    )


def _of_kept(
    write: Callable[[Sequence[int], Path], None] | None, kept: list[int]
) -> Callable[[Sequence[int], Path], None] | None:
    return write and (lambda picks, folder: write([kept[i] for i in picks], folder))
