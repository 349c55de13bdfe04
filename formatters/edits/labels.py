"""Edits of samples and classes, where samples are born, so that all that is found later is found in the edited data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from formatters.base import Sample
from formatters.edits.listed import Edit, of_kind
from formatters.labels.row_labels import RowLabels
from formatters.media.labels import Labelled
from formatters.media.order import natural
from formatters.series.cases import Cases

Labels = tuple[str, ...]
EDITS = ("exclude", "relabel", "merge", "drop")


@dataclass(frozen=True)
class Edited:
    """Labels of each sample (None: excluded) and the classes in index order."""

    labels: list[Labels | None]
    names: list[str]

    @property
    def kept(self) -> list[int]:
        return [i for i, labels in enumerate(self.labels) if labels is not None]

    def samples(self, samples: Sequence[Sample]) -> list[Sample]:
        return [replace(samples[i], labels=self.labels[i]) for i in self.kept]


def edit_labels(
    edits: Sequence[Edit], sources: Sequence[str], labels: Sequence[Labels | None], names: list[str], multi_label: bool
) -> Edited:
    """Apply the edits of samples and classes in their order.

    Raises:
        DataError: an edit names a sample or class that is not there, or gives labels that cannot be.
    """
    now = list(labels)
    places = {source: at for at, source in enumerate(sources)}
    for edit in of_kind(edits, *EDITS):
        if edit.items:
            _edit_items(edit, now, places, multi_label)
        else:
            _edit_classes(edit, now, multi_label)
    before = {label for own in labels for label in own or ()}
    after = {label for own in now for label in own or ()}
    kept = [name for name in names if name in after or name not in before]
    return Edited(now, kept + sorted(after - set(kept), key=natural))


def edit_samples(edits: Sequence[Edit], samples: Sequence[Sample], names: list[str], multi_label: bool) -> Edited:
    """The same, of samples that all count."""
    return edit_labels(edits, [one.source for one in samples], [one.labels for one in samples], names, multi_label)


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
    renamed = dict.fromkeys(edit.classes, *edit.to) if edit.to else {}
    for at, own in enumerate(now):
        if own and not there.isdisjoint(own):
            left = tuple(dict.fromkeys(renamed.get(name, name) for name in own if renamed or name not in edit.classes))
            now[at] = left if left or multi_label else None


def without_columns(edits: Sequence[Edit], why: str) -> None:
    """Raises DataError for edits of columns where there are none."""
    for edit in of_kind(edits, "missing", "ignore"):
        raise edit.misfit(f"names a column, but {why}")


def edited_files(found: Labelled, edits: Sequence[Edit]) -> Labelled:
    """Files with labels."""
    without_columns(edits, "the samples are files")
    if not of_kind(edits, *EDITS):
        return found
    done = edit_samples(edits, found.samples, found.label_names, found.multi_label)
    return replace(
        found,
        paths=[found.paths[i] for i in done.kept],
        samples=done.samples(found.samples),
        label_names=done.names,
    )


def edited_rows(found: RowLabels, sources: Sequence[str], edits: Sequence[Edit]) -> RowLabels:
    """Rows of a table: those that are excluded count as if they had no label."""
    if not of_kind(edits, *EDITS):
        return found
    done = edit_labels(edits, sources, found.rows, found.names, found.multi_label)
    return replace(found, rows=done.labels, names=done.names)


def edited_series(cases: Cases, edits: Sequence[Edit]) -> Cases:
    """Series of any layout."""
    without_columns(edits, "the data is read as time series")
    if not of_kind(edits, *EDITS):
        return cases
    done = edit_samples(edits, cases.samples, cases.label_names, cases.multi_label)
    kept, groups = done.kept, cases.about.get("groups", {})
    return replace(
        cases,
        series=[cases.series[i] for i in kept],
        samples=done.samples(cases.samples),
        label_names=done.names,
        write_raw=_of_kept(cases.write_raw, kept),
        about=cases.about | {"groups": {name: [values[i] for i in kept] for name, values in groups.items()}},
    )


def _of_kept(
    write: Callable[[Sequence[int], Path], None] | None, kept: list[int]
) -> Callable[[Sequence[int], Path], None] | None:
    return write and (lambda picks, folder: write([kept[i] for i in picks], folder))
