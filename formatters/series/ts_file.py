"""The .ts format of the UCR/UEA time series archive: @tags, then a case a line, channels parted by colons.

Format: Loning, Bagnall et al., "sktime: a unified interface for machine learning with time series" (2019).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from automl_engine.errors import DataError
from formatters.encodings import decode_text
from formatters.tables.reader import check_lines
from formatters.words import counted

TIMED_VALUE = re.compile(r"\(([^()]*)\)")  # (2020-01-31 12:00,0.5)
MAX_CELLS = 50_000_000  # of a case, shorter channels filled up
LOOK_BYTES = 65536


@dataclass
class TsFile:
    """``cases[i]`` is (T, C) float64 with NaN where a value is missing; its label is None if the file has none."""

    unread: dict[int, str] = field(default_factory=dict)  # why, by the number of each line that is no case
    cases: list[np.ndarray] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # where each case stands
    classes: list[str] = field(default_factory=list)  # as the header names them
    is_regression: bool = False
    has_timestamps: bool = False


def is_ts(path: Path) -> bool:
    """A text with the archive's tags, and not a video of the same suffix."""
    with path.open("rb") as file:
        head = file.read(LOOK_BYTES).lower()
    return b"\0" not in head and re.search(rb"^\s*@(data|problemname|classlabel)\b", head, re.MULTILINE) is not None


def read_ts(path: Path) -> TsFile:
    """Parse a file; lines that hold no numbers, or more or fewer channels than the others, are left out.

    Raises:
        DataError: no @data, no cases, or most lines are no cases.
    """
    result, in_data = TsFile(), False
    tags: dict[str, list[str]] = {}
    lines: dict[int, list[str]] = {}  # the channels, and the label, of each case
    check_lines(path)
    for number, raw in enumerate(decode_text(path)[0].splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith(("#", "%")):
            continue
        if in_data:
            lines[number] = TIMED_VALUE.sub(lambda timed: timed[0].replace(":", "\0"), line).split(":")
            continue
        key, _, value = line.lstrip("@").partition(" ")
        in_data = key.lower() == "data"
        tags[key.lower()] = value.split()
    if not lines:
        what = "no cases after @data" if in_data else "no @data line"
        raise DataError(f"{path.name} has {what}; give a .ts file as the UCR/UEA archive writes them.")
    fields = Counter(map(len, lines.values())).most_common(1)[0][0]
    for number, cells in lines.items():
        try:
            _add_case(result, cells, number, fields, path.name, _is_true(tags, "classlabel", "targetlabel"))
        except DataError as error:
            result.unread[number] = str(error)
    refuse_if_most(result.unread, len(result.cases))
    result.classes = tags.get("classlabel", [])[1:]
    result.is_regression = _is_true(tags, "targetlabel")
    result.has_timestamps = _is_true(tags, "timestamps")
    return result


def refuse_if_most(unread: dict[int, str], cases: int) -> None:
    """A few lines may be no cases, but not half of them."""
    if unread and len(unread) >= cases:
        raise DataError(next(iter(unread.values())))


def write_ts(cases: Sequence[np.ndarray], path: Path) -> None:
    """Cases (T, C) without labels, exactly: each number is written with all its digits."""
    lines = ["@problemName new", "@classLabel false", "@data"]
    for case in cases:
        lines.append(
            ":".join(
                ",".join("?" if np.isnan(value) else repr(float(value)) for value in channel) for channel in case.T
            )
        )
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _is_true(tags: dict[str, list[str]], *keys: str) -> bool:
    return any(values[0].lower() == "true" for key in keys if (values := tags.get(key)))


def _add_case(result: TsFile, cells: list[str], number: int, fields: int, name: str, has_label: bool) -> None:
    """Add a case of as many ``fields``, its label one of them, as most lines have."""
    channels, labels = (cells[:-1], cells[-1:]) if has_label else (cells, [])
    if not channels:
        raise DataError(f"line {number} of {name} holds no values; each line needs channels and a label.")
    if len(cells) != fields:
        raise DataError(
            f"line {number} of {name} has {counted(len(channels), 'channel')} but most cases have "
            f"{fields - len(labels)}; every case needs the same channels, parted by colons."
        )
    values = [_channel(text, number, name) for text in channels]
    if max(map(len, values)) * len(values) > MAX_CELLS:
        raise DataError(f"line {number} of {name} is a series of more than {MAX_CELLS:,} values; cut it into pieces.")
    case = np.full((max(map(len, values)), len(values)), np.nan)
    for at, channel in enumerate(values):
        case[: len(channel), at] = channel
    result.cases.append(case)
    result.labels.append(labels[0].replace("\0", ":").strip() if labels else None)
    result.lines.append(number)


def _channel(text: str, number: int, name: str) -> np.ndarray:
    timed = TIMED_VALUE.findall(text)
    cells = [pair.rpartition(",")[2] for pair in timed] if timed else text.split(",")
    try:
        return np.array([float(cell.strip().replace("?", "nan") or "nan") for cell in cells])
    except ValueError as error:
        raise DataError(f"line {number} of {name}: {error}; values must be numbers, ? or NaN.") from error
