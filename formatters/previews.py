"""What a person can look at: thumbnails, players, first rows; ``previews/{train,test}.jsonl`` (docs/formats.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from formatters.base import Sample, Table
from formatters.media.samples import THREADS
from formatters.split import Split

MAX_TEST = 1000
MAX_TRAIN = 200


def write_previews(table: Table, split: Split, folder: Path) -> None:
    """The first test samples, and train samples of all classes, each with its index in its split."""
    folder.mkdir()
    picks = _of_all_classes([table.samples[i] for i in split.train], MAX_TRAIN)
    _write(table, [(at, split.train[at]) for at in picks], folder, "train")
    _write(table, list(enumerate(split.test[:MAX_TEST])), folder, "test")


def _of_all_classes(samples: Sequence[Sample], limit: int) -> list[int]:
    """Positions of up to ``limit`` samples, taken from the classes in turn."""
    by_class: dict[tuple[str, ...], list[int]] = {}
    for at, sample in enumerate(samples):
        by_class.setdefault(sample.labels, []).append(at)
    in_turn = chain.from_iterable(zip_longest(*by_class.values()))
    return sorted([at for at in in_turn if at is not None][:limit])


def _write(table: Table, picks: list[tuple[int, int]], folder: Path, side: str) -> None:
    def line(pick: tuple[int, int]) -> str:
        index, sample_index = pick
        sample = table.samples[sample_index]
        shown: dict[str, Any] = table.preview(sample_index, folder / f"{side}-{index}")
        entry = {"index": index, "source": sample.source, "labels": list(sample.labels), **shown}
        return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"

    with ThreadPoolExecutor(THREADS) as pool:
        (folder / f"{side}.jsonl").write_text("".join(pool.map(line, picks)), "utf-8")
