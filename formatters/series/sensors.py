"""A file a sensor, a line a series: acc_x_train.txt, acc_y_train.txt, ... and y_train.txt, a line for a line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Sample
from formatters.media.beside import NO_TABLE, names_of_indices
from formatters.media.order import examples, files_below, natural
from formatters.series.cases import Cases, flaw, stack, strange_cells, uses_decimal_comma
from formatters.split_words import PART_WORDS, part_of_path, sides_of_parts
from formatters.tables.joined import LABEL_FILES
from formatters.tables.reader import TABLE_SUFFIXES, read_with_findings
from formatters.words import counted

SUFFIXES = (*TABLE_SUFFIXES, ".txt")
GROUP_FILES = frozenset(["subject", "subjects", "group", "groups", "person", "participant", "user"])
MIN_STEPS = 8
LOOKED_AT = 8  # files, before all are read: prose beside a table of labels is left at once


@dataclass(frozen=True)
class _File:
    """Numbers, a series a line, or the labels or groups of those lines; ``unread``: why, by line."""

    path: str
    columns: list[list[str]]
    unread: dict[int, str]

    def matrix(self) -> np.ndarray:
        """(N, T); NaN for cells that are no numbers, and in lines that could not be read."""
        return stack([self.columns], uses_decimal_comma(self.columns, " "))[:, :, 0]


@dataclass
class _Part:
    """What one side holds: files and matrices by sensor, and labels and groups a line."""

    sensors: dict[str, tuple[_File, np.ndarray]] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def sniff(root: Path, options: Options) -> Evidence | None:
    found = _find(root)
    if not found:
        return None
    names = _sensors(found)
    return Evidence(0.96, [f"each line is a series; its {len(names)} channels are {names[0]}, {names[1]}, ..."])


def _find(root: Path) -> dict[str, _Part] | None:
    paths = tuple(path for path in files_below(root) if path.lower().endswith(SUFFIXES))
    label_files = [path for path in paths if _sensor(path) in LABEL_FILES]
    parts = {part_of_path(path) for path in label_files}
    others = [path for path in paths if path not in label_files]
    if not label_files or len(parts) < len(label_files) or len(others) < 2:
        return None
    looked = [_file(root, path) for path in others[:: 1 + len(others) // LOOKED_AT]]
    if not any(file and len(file.columns) >= MIN_STEPS for file in looked):
        return None
    return _read(root, paths, tuple((root / path).stat().st_mtime_ns for path in paths))


def _words(path: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", Path(path).stem.lower())


def _sensor(path: str) -> str:
    """The name without the part: "acc_x" of "acc_x_train.txt"."""
    return "_".join(word for word in _words(path) if word not in PART_WORDS)


@lru_cache(maxsize=1)
def _read(root: Path, paths: tuple[str, ...], stamp: tuple[int, ...]) -> dict[str, _Part] | None:
    """The parts by name, with the same two or more sensors each; None where a line is no series."""
    parts: dict[str, _Part] = {}
    for path in paths:
        file = None if Path(path).stem.lower().startswith(NO_TABLE) else _file(root, path)
        if file is None:
            continue
        part = parts.setdefault(part_of_path(path), _Part())
        sensor = _sensor(path)
        if len(file.columns) == 1 and sensor in LABEL_FILES:
            part.labels = file.columns[0]
        elif len(file.columns) == 1 and sensor in GROUP_FILES:
            part.groups = file.columns[0]
        elif len(file.columns) >= MIN_STEPS:
            values = file.matrix()
            if np.isfinite(values).mean() > 0.9:
                part.sensors[sensor] = (file, values)
    parts = {name: part for name, part in parts.items() if part.labels}
    for part in parts.values():
        part.sensors = {name: one for name, one in part.sensors.items() if len(one[1]) == len(part.labels)}
    return parts if len(_sensors(parts)) > 1 else None


def _file(root: Path, path: str) -> _File | None:
    """A line of another length is kept in its place, since each file has a line for a series."""
    try:
        table, findings = read_with_findings(root / path, False, keep_empty=True)
    except DataError:  # prose is a ragged table
        return None
    return _File(path, [table.column(name) for name in table.columns], findings.unread)


def _sensors(parts: dict[str, _Part]) -> list[str]:
    """The sensors of every part that share the commonest width; a matrix of features has another one."""
    widths: dict[int, list[str]] = {}
    first = next(iter(parts.values()), _Part())
    for name, (_, values) in first.sensors.items():
        steps = values.shape[1]
        if all(name in part.sensors and part.sensors[name][1].shape[1] == steps for part in parts.values()):
            widths.setdefault(steps, []).append(name)
    commonest: list[str] = max(widths.values(), key=len, default=[])
    return sorted(commonest, key=natural)


def read(root: Path, options: Options) -> Cases:
    parts = _find(root)
    if not parts:
        raise DataError("the upload holds no files with a series a line and a file of labels; name it y_train.txt.")
    if options.target:
        raise DataError(f"the labels stand in a file of their own, so there is no column {options.target!r}.")
    names = _sensors(parts)
    sides = sides_of_parts({part_of_path(name) for name in parts})
    given = {"train", "test"} <= {sides.get(part_of_path(name)) for name in parts}
    found = Findings([f"the channels are {', '.join(names)}, a file each"])
    cases = Cases([], [], [], False, found, {"layout": "sensors", "channels": names})
    labels: dict[str, tuple[str, ...]] = {label: (label,) for part in parts.values() for label in part.labels}
    every = files_below(root)
    named = names_of_indices(labels, root, every) or {}
    used: set[str] = set()
    for name, part in parts.items():
        files = [part.sensors[sensor][0] for sensor in names]
        used |= {file.path for file in files}
        series = np.stack([part.sensors[sensor][1] for sensor in names], axis=2)
        found.doubts += [doubt for file in files for doubt in _unread_doubts(file)]
        series[[line for file in files for line in file.unread]] = np.nan
        cases.series += list(series)
        groups = part.groups if len(part.groups) == len(part.labels) else [None] * len(part.labels)
        side = sides[part_of_path(name)] if given else None
        cases.samples += [
            Sample(f"{files[0].path}, line {i}", (named.get(label, label),), side, group)
            for i, (label, group) in enumerate(zip(part.labels, groups, strict=True), start=1)
        ]
    cases.label_names = [named.get(label, label) for label in sorted(labels, key=natural)]
    others = [path for path in every if path not in used and _sensor(path) not in LABEL_FILES | GROUP_FILES]
    found.ignored = [{"path": path, "why": "it is no channel of the series"} for path in others]
    return cases


def _unread_doubts(file: _File) -> list[Doubt]:
    if not file.unread:
        return []
    what = counted(len(file.unread), "line of a channel is", "lines of a channel are")
    first = next(iter(file.unread.values())).removesuffix(".")
    return [Doubt(f"{what} left out with their series: {first}", "correct them", file.path)]


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """A folder with one file for each channel of the training data, of each part where it has several (train/, test/).

    Raises:
        DataError: a channel of the only part is missing or cannot be read.
    """
    channels: list[str] = recipe["channels"]
    root, paths = (source, files_below(source)) if source.is_dir() else (source.parent, [source.name])
    parts: dict[str, dict[str, str]] = {}
    for path in paths:
        sensor = _sensor(path)
        if sensor not in channels:
            continue
        part = parts.setdefault(part_of_path(path), {})
        if sensor in part:
            raise DataError(f"{path} and {part[sensor]} are the same channel; give one file for each channel.")
        part[sensor] = path
    for name, files in (parts or {"": {}}).items():
        try:
            _add_series(new, channels, root, files, f"{name}, " if len(parts) > 1 else "")
        except DataError as error:
            if len(parts) < 2:
                raise
            new.add(name or source.name, None, str(error))
    for path in paths:
        if _sensor(path) not in channels:
            new.add(path, None, f"{path} is none of the channels ({examples(channels)}), so it was not used.")


def _add_series(new: NewData, channels: list[str], root: Path, paths: dict[str, str], prefix: str) -> None:
    """The series of one part, a line of each file."""
    missing = [name for name in channels if name not in paths]
    if missing:
        raise DataError(f"the input lacks the file of channel {missing[0]!r}; give a file for each channel.")
    files = []
    for name in channels:
        file = _file(root, paths[name])
        if file is None:
            raise DataError(f"{paths[name]} could not be read; give one file of numbers for each channel.")
        files.append(file)
    matrices = [file.matrix() for file in files]
    if len({values.shape for values in matrices}) > 1:
        raise DataError("the files of the channels differ in lines or in steps; give a line of each for a series.")
    unread = {line: why for file in files for line, why in file.unread.items()}
    strange: dict[int, list[str]] = {}
    for file, values in zip(files, matrices, strict=True):
        for line, cells in strange_cells(file.columns, values).items():
            strange.setdefault(line, []).extend(cells)
    for at, case in enumerate(np.stack(matrices, axis=2)):
        problem = unread.get(at, flaw(strange.get(at, [])))
        new.add(f"{prefix}line {at + 1}", None if at in unread else case, problem)
