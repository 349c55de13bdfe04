"""report.json and the previews, prepared for the page (docs/formats.md): bars, histograms, sample cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from glob import escape
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from webapp.datasets.models import Dataset

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
PICTURE_STARTS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
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

    With several labels at once: of answering every yes-or-no question with the more common answer.
    """
    labels, train, test = report.get("labels", []), report["counts"]["train"], report["counts"]["test"]
    if not labels or not test:
        return None
    if report["task"] != "multi_label":
        return max(labels, key=lambda label: label["train"])["test"] / test
    right = sum(label["test"] if 2 * label["train"] > train else test - label["test"] for label in labels)
    return right / (test * len(labels))


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
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    else:
        top = column.get("top") or []
        names, counts = [str(value) for value, _ in top], [count for _, count in top]
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


def sample_page(dataset: Dataset, split: str, label: str, number: int) -> SamplePage:
    """Samples of one split, of one class if ``label`` is given; pages are numbered from 1."""
    name = f"previews/{split}.jsonl"
    path = dataset.files(name) / name
    lines = _lines(path, path.stat().st_mtime_ns) if path.exists() else ()
    if label:
        quoted = json.dumps(label, ensure_ascii=False).encode()
        lines = tuple(line for line in lines if quoted in line and label in json.loads(line)["labels"])
    first = (number - 1) * PAGE_SAMPLES
    samples = [_card(json.loads(line)) for line in lines[first : first + PAGE_SAMPLES]]
    return SamplePage(split, label, number, samples, len(lines))


@lru_cache(maxsize=2)
def _lines(path: Path, _mtime_ns: int) -> tuple[bytes, ...]:
    """The previews as JSON; a gallery that is scrolled asks for them again and again."""
    return tuple(path.read_bytes().splitlines())


def _card(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample as the template shows it: file name without folder, series as SVG points."""
    card = dict(sample)
    if "file" in card:
        card["file"] = Path(card["file"]).name
    if card["kind"] == "series":
        card["lines"] = sparklines(card["series"])
    return card


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
