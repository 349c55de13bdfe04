"""What a person can look at, of all samples: thumbnails, players, rows; ``previews/`` (docs/formats.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

from formatters.base import Sample, Table
from formatters.media.samples import THREADS
from formatters.split import Split

MADE_TEST, MADE_TRAIN = 1000, 200
"""Pictures, clips and sounds that are made; the others are drawn from the records when somebody looks at them."""
FILES = ("image", "video", "audio")
MOST_LISTED = 100_000
MOST_LISTED_BYTES = 2**25
"""Of a file of previews; fewer samples are listed where each needs much."""
PROBED = 50


def write_previews(table: Table, split: Split, folder: Path) -> None:
    """Samples of both splits, each with its index there: all of them, or as many as may be listed."""
    folder.mkdir()
    most = _most_listed(table)
    train = [table.samples[i] for i in split.train]
    made = set(_of_all_classes(train, MADE_TRAIN))
    _write(table, split.train, _of_all_classes(train, most), lambda index: index in made, folder, "train")
    _write(table, split.test, range(min(most, len(split.test))), lambda index: index < MADE_TEST, folder, "test")


def _most_listed(table: Table) -> int:
    if table.modality in FILES:
        return MOST_LISTED
    count = len(table.samples)
    probed = [table.preview(i, Path()) for i in range(0, count, max(1, count // PROBED))]
    mean_bytes = sum(len(json.dumps(preview)) for preview in probed) / max(1, len(probed))
    return max(MADE_TEST, min(MOST_LISTED, int(MOST_LISTED_BYTES / max(1, mean_bytes))))


def _of_all_classes(samples: Sequence[Sample], limit: int) -> Sequence[int]:
    """Positions of up to ``limit`` samples, taken from the classes in turn."""
    if len(samples) <= limit:
        return range(len(samples))
    by_class: dict[tuple[str, ...], list[int]] = {}
    for at, sample in enumerate(samples):
        by_class.setdefault(sample.labels, []).append(at)
    in_turn = chain.from_iterable(zip_longest(*by_class.values()))
    return sorted(islice((at for at in in_turn if at is not None), limit))


def _write(
    table: Table,
    members: Sequence[int],
    listed: Sequence[int],
    is_made: Callable[[int], bool],
    folder: Path,
    side: str,
) -> None:
    """Lines of the samples ``listed``, positions among the ``members`` of a split."""

    def preview(index: int) -> dict[str, Any]:
        return table.preview(members[index], folder / f"{side}-{index}")

    def lines() -> Iterator[str]:
        for index in listed:
            sample = table.samples[members[index]]
            shown = made.pop(index) if index in made else {"kind": table.modality} if has_files else preview(index)
            entry = {"index": index, "source": sample.source, "labels": list(sample.labels), **shown}
            yield json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"

    has_files = table.modality in FILES
    first = list(filter(is_made, listed)) if has_files else []
    with ThreadPoolExecutor(THREADS) as pool:
        made = dict(zip(first, pool.map(preview, first), strict=True))
    with open(folder / f"{side}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(lines())
