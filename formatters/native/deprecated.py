"""The challenge's deprecated TFRecord format: records and one ``metadata.textproto`` in one folder.

``NAME-train-00000-of-00012.tfrecord``, ``NAME-test-examples-00000-of-00002.tfrecord`` and
``NAME-test-labels.tfrecord``, or ``NAME-00000-of-00002.tfrecord`` where nobody has split them yet.  Its metadata
counts the records of one part only, so they are counted here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_engine.dataset import records
from automl_engine.dataset.decode import prepare
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import RecordExamples, Shard
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from formatters.base import Side
from formatters.media.order import natural


@dataclass(frozen=True)
class Part:
    """The records of one side; None: nobody has split them yet."""

    side: Side | None
    examples: Examples
    labels: np.ndarray  # (N, K)


def opened(folder: Path) -> list[Part]:
    """The parts of the data set in a folder.

    Raises:
        DataError: a file is damaged, or records have no labels.
    """
    spec = Spec.read(folder / "metadata.textproto")
    if spec.domain in ("image", "video"):
        prepare()
    paths = sorted(folder.glob("*.tfrecord"), key=lambda path: natural(path.name))
    sides = {path: _side(path) for path in paths}
    if {"train", "test"} <= set(sides.values()):
        return [_part(spec, side, [path for path in paths if sides[path] == side]) for side in ("train", "test")]
    return [_part(spec, None, paths)]


def _side(path: Path) -> str:
    words = _words(path)
    return next((side for side in ("train", "test") if side in words), "")


def _words(path: Path) -> list[str]:
    return re.split(r"[^a-z]+", path.stem.lower())


def _part(spec: Spec, side: Side | None, paths: Sequence[Path]) -> Part:
    """Labels stand in the records, or alone in files of their own, in the order of the examples."""
    apart = [path for path in paths if "labels" in _words(path)] if side else []
    shards = [Shard(path) for path in paths if path not in apart]
    examples = _examples(spec, shards)
    labels = examples.labels
    if apart:
        others = [Shard(path) for path in apart]
        labels = _examples(spec, others).labels
        if len(labels) != len(examples) or _ids(shards) != _ids(others):
            raise DataError(
                f"{apart[0].name} does not hold the labels of the {len(examples):,} {side} records in their order; "
                "write one record of labels for each."
            )
    if not labels.any():
        raise DataError(
            f"The records of {paths[0].name} have no labels; add them, or upload NAME.data with NAME.solution."
        )
    return Part(side, examples, labels)


def _examples(spec: Spec, shards: Sequence[Shard]) -> RecordExamples:
    return RecordExamples(spec.with_count(sum(map(len, shards))), shards)


def _ids(shards: Sequence[Shard]) -> list[int]:
    """Of all records that have one."""
    contexts = (records.decode_context(shard.peek(number)) for shard in shards for number in range(len(shard)))
    return [int(context["id"][0]) for context in contexts if "id" in context]
