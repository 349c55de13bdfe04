""".ts files of the UCR/UEA archive: fixed or variable length, several channels."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Sample
from formatters.labels.cuts import LabelQuestion, cut
from formatters.media.order import natural
from formatters.series.cases import Cases, flaw, stack, strange_cells, uses_decimal_comma
from formatters.series.ts_file import TsFile, is_ts, read_ts, refuse_if_most
from formatters.split_words import sides_of_paths
from formatters.tables.columns import parse_number, profile
from formatters.tables.new_rows import ROW_SUFFIXES, for_each_file, row_names
from formatters.tables.reader import RawTable, read_with_findings
from formatters.words import counted


def sniff(root: Path, options: Options) -> Evidence | None:
    files = _ts_files(root)
    if not files:
        return None
    return Evidence(1.0, [f"{', '.join(path.name for path in files[:4])}: .ts files of the UCR/UEA archive"])


def _ts_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix.lower() == ".ts" and path.is_file() and is_ts(path))


def read(root: Path, options: Options) -> Cases:
    if options.target:
        raise DataError(f".ts files hold their own labels, so there is no column {options.target!r}; leave it out.")
    parsed = {path.relative_to(root).as_posix(): read_ts(path) for path in _ts_files(root)}
    sides = sides_of_paths(parsed)
    given = {"train", "test"} <= set(sides.values())
    first = next(iter(parsed.values()))
    found = Findings(["the last field of each case is its label"])
    cases = Cases([], [], [], False, found)
    for path, file in parsed.items():
        _leave_out_unlabelled(file, path)
        found.doubts += _unread_doubts(file, path)
        if file.cases[0].shape[1] != first.cases[0].shape[1]:
            raise DataError(
                f"{path} has {counted(file.cases[0].shape[1], 'channel')} but {next(iter(parsed))} has "
                f"{first.cases[0].shape[1]}; upload files of one data set only."
            )
        cases.series += file.cases
        cases.samples += [
            Sample(f"{path}, line {line}", (label,), sides[path] if given else None)
            for line, label in zip(file.lines, file.labels, strict=True)
            if label
        ]
    if first.is_regression:
        _cut_numbers(cases, next(iter(parsed)), options)
    else:
        used = {sample.labels[0] for sample in cases.samples}
        cases.label_names = [name for name in first.classes if name in used]
        cases.label_names += sorted(used - set(cases.label_names), key=natural)
    if given:
        found.why.append("the split into train and test is given by the names of the files")
    if any(file.has_timestamps for file in parsed.values()):
        what = "time stamps are not used: steps count as equally far apart"
        found.doubts.append(Doubt(what, "resample the series if their steps differ much", "", "info"))
    return cases


def _leave_out_unlabelled(file: TsFile, path: str) -> None:
    """Cases without a label, or with a target that is no number, cannot be learned from."""
    kept = []
    for at, (line, label) in enumerate(zip(file.lines, file.labels, strict=True)):
        if not label:
            why = f"line {line} of {path} has no label; set @classLabel true and end each case with its class."
            file.unread[line] = why
        elif file.is_regression and parse_number(label) is None:
            file.unread[line] = f"line {line} of {path} has a target that is no number; correct it."
        else:
            kept.append(at)
    refuse_if_most(file.unread, len(kept))
    file.cases = [file.cases[at] for at in kept]
    file.labels = [file.labels[at] for at in kept]
    file.lines = [file.lines[at] for at in kept]


def _unread_doubts(file: TsFile, path: str) -> list[Doubt]:
    if not file.unread:
        return []
    first, why = min(file.unread.items())
    what = counted(len(file.unread), f"line of {path} is", f"lines of {path} are")
    return [Doubt(f"{what} left out: {why.removesuffix('.')}", "correct or remove them", f"{path}, line {first}")]


def _cut_numbers(cases: Cases, path: str, options: Options) -> None:
    """The targets of a regression become ranges."""
    values = [parse_number(sample.labels[0]) for sample in cases.samples]
    if not options.label_cuts:
        raise LabelQuestion("targetlabel", path, values, [])
    ranges, cases.label_names = cut(values, options.label_cuts)
    cases.samples = [replace(sample, labels=(cell or "",)) for sample, cell in zip(cases.samples, ranges, strict=True)]


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """A CSV for a model of .ts files: with one channel a row is a series; with several, the file is one series."""
    channels = new.spec.num_channels

    def read(path: Path, name: str) -> None:
        if path.suffix.lower() not in ROW_SUFFIXES:
            raise DataError(f"{path.name} holds no series; give a .ts file or a CSV.")
        table, findings = read_with_findings(path, keep_empty=True)
        unread = findings.unread
        columns = _number_columns(table)
        if not columns:
            raise DataError(f"{path.name} has no column of numbers; give a .ts file or a CSV.")
        decimal_comma = uses_decimal_comma(columns, table.delimiter)
        values = stack([columns], decimal_comma)[:, :, 0]  # (rows, columns)
        strange = strange_cells(columns, values)
        if channels == 1 and len(columns) > 1:
            for at, row in enumerate(row_names(name or path.name, len(values))):
                whole = at not in unread
                new.add(row, values[at, :, None] if whole else None, unread.get(at, flaw(strange.get(at, []))))
        else:  # a row is a step
            problems = [*unread.values(), flaw([*chain(*strange.values())])]
            new.add(name or path.name, values, "; ".join(filter(None, problems)))

    for_each_file(new, source, read)


def _number_columns(table: RawTable) -> list[list[str]]:
    columns = [profile(name, table.column(name), table.delimiter) for name in table.columns]
    return [table.column(column.name) for column in columns if column.numbers]
