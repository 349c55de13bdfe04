"""A file a sensor, a line a series: acc_x_train.txt, acc_y_train.txt, ... and y_train.txt, a line for a line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Sample
from formatters.media.beside import NO_TABLE, names_of_indices
from formatters.media.order import files_below, natural
from formatters.series.cases import Cases, flaw, stack, strange_cells, uses_decimal_comma
from formatters.split_words import PART_WORDS, part_of_path, sides_of_parts
from formatters.tables.joined import LABEL_FILES
from formatters.tables.reader import TABLE_SUFFIXES, read_table

SUFFIXES = (*TABLE_SUFFIXES, ".txt")
GROUP_FILES = frozenset(["subject", "subjects", "group", "groups", "person", "participant", "user"])
MIN_STEPS = 8
LOOKED_AT = 8  # files, before all are read: prose beside a table of labels is left at once


@dataclass
class _Part:
    """What one side holds: matrices by sensor, and labels and groups a line."""

    sensors: dict[str, tuple[str, np.ndarray]] = field(default_factory=dict)  # (path, (N, T))
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
    looked = others[:: 1 + len(others) // LOOKED_AT]
    if not any(len(_columns(root / path) or ()) >= MIN_STEPS for path in looked):
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
        columns = None if Path(path).stem.lower().startswith(NO_TABLE) else _columns(root / path)
        if columns is None:
            continue
        part = parts.setdefault(part_of_path(path), _Part())
        sensor = _sensor(path)
        if len(columns) == 1 and sensor in LABEL_FILES:
            part.labels = columns[0]
        elif len(columns) == 1 and sensor in GROUP_FILES:
            part.groups = columns[0]
        elif len(columns) >= MIN_STEPS:
            values = _matrix(columns)
            if np.isfinite(values).mean() > 0.9:
                part.sensors[sensor] = (path, values)
    parts = {name: part for name, part in parts.items() if part.labels}
    for part in parts.values():
        part.sensors = {name: one for name, one in part.sensors.items() if len(one[1]) == len(part.labels)}
    return parts if len(_sensors(parts)) > 1 else None


def _columns(path: Path) -> list[list[str]] | None:
    try:
        table = read_table(path, False)
    except DataError:  # prose is a ragged table
        return None
    return [table.column(name) for name in table.columns]


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
    cases = Cases([], [], [], False, Findings([f"the channels are {', '.join(names)}, a file each"]))
    cases.recipe = {"layout": "sensors", "channels": names}
    labels: dict[str, tuple[str, ...]] = {label: (label,) for part in parts.values() for label in part.labels}
    every = files_below(root)
    named = names_of_indices(labels, root, every) or {}
    used: set[str] = set()
    for name, part in parts.items():
        path = part.sensors[names[0]][0]
        used |= {part.sensors[sensor][0] for sensor in names}
        cases.series += list(np.stack([part.sensors[sensor][1] for sensor in names], axis=2))
        groups = part.groups if len(part.groups) == len(part.labels) else [None] * len(part.labels)
        cases.samples += [
            Sample(f"{path}, line {i}", (named.get(label, label),), sides[part_of_path(name)] if given else None, group)
            for i, (label, group) in enumerate(zip(part.labels, groups, strict=True), start=1)
        ]
    cases.label_names = [named.get(label, label) for label in sorted(labels, key=natural)]
    others = [path for path in every if path not in used and _sensor(path) not in LABEL_FILES | GROUP_FILES]
    cases.findings.ignored = [{"path": path, "why": "it is no channel of the series"} for path in others]
    return cases


def _matrix(columns: list[list[str]]) -> np.ndarray:
    """(N, T)"""
    return stack([columns], uses_decimal_comma(columns, " "))[:, :, 0]


def encode(recipe: dict[str, Any], source: Path, new: NewData) -> None:
    """A folder with one file for each channel of the training data."""
    found: dict[str, np.ndarray] = {}
    strange: dict[int, list[str]] = {}
    for path in files_below(source) if source.is_dir() else [source.name]:
        sensor = _sensor(path)
        if sensor not in recipe["channels"]:
            new.notes.append(f"{path} is no channel of the series and was left out")
            continue
        columns = _columns(source / path if source.is_dir() else source) or []
        if sensor in found or not columns:
            raise DataError(f"{path} could not be read; give one file of numbers for each channel.")
        found[sensor] = _matrix(columns)
        for line, cells in strange_cells(columns, found[sensor]).items():
            strange.setdefault(line, []).extend(cells)
    missing = [name for name in recipe["channels"] if name not in found]
    if missing:
        raise DataError(f"{source.name} lacks the file of channel {missing[0]!r}; give a file for each channel.")
    if len({values.shape for values in found.values()}) > 1:
        raise DataError(f"the files of {source.name} differ in lines or in steps; give a line of each for a series.")
    for at, case in enumerate(np.stack([found[name] for name in recipe["channels"]], axis=2)):
        new.add(f"line {at + 1}", case, flaw(strange.get(at, [])))
