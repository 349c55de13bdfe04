"""report.json and the previews, prepared for the page (docs/formats.md): bars, histograms, sample cards."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from glob import escape
from itertools import islice, pairwise
from math import ceil
from pathlib import Path
from typing import Any

from django.urls import reverse

from webapp.datasets.models import Dataset
from webapp.runs.words import cell, number

PAGE_SAMPLES = 24
FIRST_CLASSES = 30  # more are folded away
PREVIEW_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".wav": "audio/wav",
}
SPARK_WIDTH, SPARK_HEIGHT = 100.0, 40.0


@dataclass(frozen=True)
class SamplePage:
    """One page of the samples, with what they were filtered by."""

    split: str
    label: str
    number: int
    samples: list[dict[str, Any]]
    count: int
    """Of all pages."""
    total: int
    """That there are: of a very large data set not all are listed."""

    @property
    def last_number(self) -> int:
        return max(1, ceil(self.count / PAGE_SAMPLES))

    @property
    def has_next(self) -> bool:
        return self.number < self.last_number


def doubts(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Worst first."""
    return sorted(report.get("doubts", []), key=lambda doubt: doubt["level"] != "warning")


def class_bars(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Per class the counts, and train and test as percent of the largest class."""
    labels = report.get("labels", [])
    largest = max((label["train"] + label["test"] for label in labels), default=0) or 1
    return [
        {
            **label,
            "total": label["train"] + label["test"],
            "train_percent": round(100 * label["train"] / largest, 2),
            "test_percent": round(100 * label["test"] / largest, 2),
        }
        for label in labels
    ]


def majority_accuracy(report: dict[str, Any]) -> float | None:
    """Test accuracy of always predicting the class that is most common in the training set.

    None with several labels at once, where no accuracy is told that it could be compared with.
    """
    labels, test = report.get("labels", []), report["counts"]["test"]
    if not labels or not test or report["task"] == "multi_label":
        return None
    return max(labels, key=lambda label: label["train"])["test"] / test


def columns(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The table's columns with their distribution as bars and missing values in percent."""
    samples = report["counts"]["samples"] or 1
    return [
        {**column, "bars": _bars(column), "missing_percent": 100 * column.get("missing", 0) / samples}
        for column in report.get("columns", [])
    ]


def _bars(column: dict[str, Any]) -> list[dict[str, Any]]:
    """Bars of a small histogram, as x, y, width and height in an image of 100 by 40, each with what it means."""
    histogram = column.get("histogram") or {}
    if histogram.get("counts"):
        edges, counts = histogram["edges"], histogram["counts"]
        names = [f"{number(low, 4)} to {number(high, 4)}" for low, high in pairwise(edges)]
    else:
        top = column.get("top") or []
        names, counts = [str(cell(value)) for value, _ in top], [count for _, count in top]
    largest = max(counts, default=0) or 1
    width = SPARK_WIDTH / (len(counts) or 1)
    return [
        {
            "x": round(i * width, 2),
            "y": round(SPARK_HEIGHT * (1 - count / largest), 2),
            "width": round(width * 0.85, 2),
            "height": round(SPARK_HEIGHT * count / largest, 2),
            "meaning": f"{name}: {count}",
        }
        for i, (name, count) in enumerate(zip(names, counts, strict=True))
    ]


def sample_page(dataset: Dataset, about: dict[str, Any], split: str, label: str, page: int) -> SamplePage:
    """Samples of one split, of one class if ``label`` is given; pages are numbered from 1."""
    found = previews(dataset, split)
    places = found.of_label(label) if label else range(len(found))
    shown = places[(page - 1) * PAGE_SAMPLES : page * PAGE_SAMPLES]
    counts = {one["name"]: one[split] for one in about["labels"]}
    total = counts.get(label, 0) if label else about["counts"][split]
    samples = [card(dataset.id, split, found.read(place)) for place in shown]
    return SamplePage(split, label, page, samples, len(places), total)


@dataclass(frozen=True)
class Previews:
    """The listed samples of a split; each is read when it is asked for."""

    path: Path
    starts: array[int]
    """Of the lines, and the end of the last."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def read(self, place: int) -> dict[str, Any]:
        with open(self.path, "rb") as file:
            file.seek(self.starts[place])
            return json.loads(file.readline())

    def get(self, index: int) -> dict[str, Any] | None:
        """The preview of a test sample: the first are listed, without a gap."""
        return self.read(index) if index < len(self) else None

    def first(self, count: int) -> list[dict[str, Any]]:
        """All at once."""
        if not len(self):
            return []
        with open(self.path, "rb") as file:
            return [json.loads(line) for line in islice(file, count)]

    def of_label(self, label: str) -> Sequence[int]:
        return _places(self.path, self.path.stat().st_mtime_ns, label)


def previews(dataset: Dataset, split: str) -> Previews:
    name = f"previews/{split}.jsonl"
    path = dataset.files(name) / name
    return Previews(path, _starts(path, path.stat().st_mtime_ns) if path.exists() else array("Q", [0]))


@lru_cache(maxsize=16)
def _starts(path: Path, _mtime_ns: int) -> array[int]:
    """A gallery that is scrolled asks for it again and again."""
    starts = array("Q", [0])
    with open(path, "rb") as file:
        for line in file:
            starts.append(starts[-1] + len(line))
    return starts


@lru_cache(maxsize=16)
def _places(path: Path, _mtime_ns: int, label: str) -> array[int]:
    quoted = json.dumps(label, ensure_ascii=False).encode()
    with open(path, "rb") as file:
        lines = enumerate(file)
        return array("Q", (at for at, line in lines if quoted in line and label in json.loads(line)["labels"]))


def card(dataset_id: str, split: str, sample: dict[str, Any]) -> dict[str, Any]:
    """A sample as a template shows it: the address of its picture or sound, series as SVG points."""
    if "file" in sample:
        return sample | {"address": reverse("dataset-preview", args=[dataset_id, Path(sample["file"]).name])}
    if sample["kind"] == "series":
        return sample | {"lines": sparklines(sample["series"])}
    if sample["kind"] in ("image", "video", "audio"):
        return sample | {"address": reverse("dataset-sample", args=[dataset_id, split, sample["index"]])}
    return sample


def sparklines(channels: list[list[float | None]]) -> list[str]:
    """SVG ``points`` per channel (the first six), all on one scale of 100 by 40; gaps are left out."""
    channels = channels[:6]
    known = [value for channel in channels for value in channel if value is not None and value == value]
    if not known:
        return []
    low, spread = min(known), (max(known) - min(known)) or 1.0
    return [" ".join(_points(channel, low, spread)) for channel in channels]


def _points(channel: list[float | None], low: float, spread: float) -> Iterator[str]:
    step = SPARK_WIDTH / max(1, len(channel) - 1)
    for i, value in enumerate(channel):
        if value is not None and value == value:
            yield f"{i * step:.1f},{SPARK_HEIGHT * (1 - (value - low) / spread):.1f}"


def preview_file(dataset: Dataset, name: str) -> tuple[Path, str] | None:
    """Path and content type of a preview, or None; only kinds that a browser cannot take for a page."""
    name = f"previews/{Path(name).name}"
    path = dataset.files(escape(name)) / name
    kind = PREVIEW_TYPES.get(path.suffix.lower())
    return (path, kind) if kind and path.is_file() and not path.is_symlink() else None


def download_members(dataset: Dataset) -> list[tuple[Path, str]]:
    """All of the converted data set but the previews, as (path, name in the zip)."""
    root = dataset.autodl_dir
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    return [(p, p.relative_to(root).as_posix()) for p in files if p.relative_to(root).parts[0] != "previews"]
