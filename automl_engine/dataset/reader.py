"""A split on disk: records are mapped into memory, indexed once by their headers, decoded on demand."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from automl_engine.dataset import records
from automl_engine.dataset.decode import ImageCache, prepare
from automl_engine.dataset.examples import Examples, Steps, SubsetExamples
from automl_engine.dataset.records import FOOTER_BYTES, HEADER_BYTES, CorruptRecord
from automl_engine.errors import DataError
from automl_engine.spec import Spec


def open_split(data_dir: Path, split: Literal["train", "test"]) -> RecordExamples:
    """The examples of ``NAME.data/{train,test}``.

    Raises:
        DataError: a file is missing or damaged, or the metadata doesn't fit the records.
    """
    folder = data_dir / split
    spec = Spec.read(folder / "metadata.textproto")
    shards = [Shard(path) for path in sorted(folder.glob("sample*"))]
    if not shards:
        raise DataError(f"{data_dir.name}/{split} holds no sample*.tfrecord file; the records belong there.")
    if split == "test" and len(shards) > 1:
        raise DataError(
            f"{data_dir.name}/test has {len(shards)} shards, so its order is not defined; merge them into one."
        )
    count = sum(len(shard) for shard in shards)
    if count != spec.sample_count:
        raise DataError(
            f"metadata.textproto of {data_dir.name}/{split} says sample_count {spec.sample_count} but the records are "
            f"{count}; correct the number or restore the missing records."
        )
    if spec.domain in ("image", "video"):
        prepare()
    return RecordExamples(spec, shards)


class Shard:
    """One TFRecord file and where its records lie; safe to read from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            empty = not file.seek(0, 2)
            self._view = memoryview(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._spans = list(self._scan())

    def __len__(self) -> int:
        return len(self._spans)

    def peek(self, number: int) -> memoryview:
        """The data of a record, unchecked and not copied."""
        start, end = self._spans[number]
        return self._view[start:end]

    def data(self, number: int) -> bytes:
        """The data of a record, its checksum checked.

        Raises:
            CorruptRecord: the content is damaged.
        """
        end = self._spans[number][1]
        return records.checked(bytes(self.peek(number)), bytes(self._view[end : end + FOOTER_BYTES]))

    def error(self, number: int, what: object) -> DataError:
        return DataError(f"record {number} of {self.path.name} cannot be read: {what}; get the file again.")

    def _scan(self) -> Iterator[tuple[int, int]]:
        at, size, number = 0, len(self._view), 0
        while at < size:
            try:
                start = at + HEADER_BYTES
                at = start + records.data_length(bytes(self._view[at:start])) + FOOTER_BYTES
            except CorruptRecord as error:
                raise self.error(number, error) from error
            if at > size:
                raise self.error(number, "the file ends in the middle of it")
            yield start, at - FOOTER_BYTES
            number += 1


class RecordExamples(Examples):
    """Examples read from shards; labels from the contexts alone, the rest when it is asked for."""

    def __init__(self, spec: Spec, shards: Sequence[Shard]) -> None:
        self.spec = spec
        self._where = [(shard, number) for shard in shards for number in range(len(shard))]
        self._cache = ImageCache(self)

    def __len__(self) -> int:
        return len(self._where)

    @cached_property
    def _label_matrix(self) -> np.ndarray:
        labels = np.zeros((len(self), self.spec.output_dim), np.float32)
        for row, (shard, number) in zip(labels, self._where, strict=True):
            try:
                _scatter(records.decode_context(shard.peek(number)), row)
            except ValueError as error:
                raise shard.error(number, error) from error
        return labels

    @property
    def labels(self) -> np.ndarray:
        return self._label_matrix

    def steps(self, index: int) -> Steps:
        shard, number = self._where[index]
        try:
            return steps_of(records.decode_lists(shard.data(number)), self.spec)
        except ValueError as error:
            raise shard.error(number, error) from error

    def images(self, height: int, width: int, frame_count: int = 1) -> np.ndarray:
        return self._cache.images(np.arange(len(self)), height, width, frame_count)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Examples:
        return SubsetExamples(self, self._cache, np.asarray(indices, np.int64))


def _scatter(context: dict[str, records.Feature], row: np.ndarray) -> None:
    """Write the label confidences of one example into its row of K zeros; confidences that are left out are 1."""
    index = np.asarray(context.get("label_index", []), np.int64)
    score = np.asarray(context.get("label_score", []), np.float32)
    if len(score) not in (0, len(index)):
        raise ValueError(f"it has {len(index)} labels but {len(score)} confidences")
    if len(index) and not (index.min() >= 0 and index.max() < len(row)):
        raise ValueError(f"label_index must be in [0, {len(row)}) but got {index.tolist()}")
    row[index] = score if len(score) else 1


def steps_of(lists: dict[str, records.FeatureList], spec: Spec) -> Steps:
    """The steps of an example from its feature lists.

    Raises:
        ValueError: the lists don't fit the spec.
    """
    if spec.format == "SPARSE":
        return _sparse_steps(lists, spec)
    key = "0_compressed" if spec.format == "COMPRESSED" else "0_dense_input"
    if key not in lists:
        raise ValueError(f"it has no list {key!r}, which format {spec.format} needs")
    found = lists[key]
    if spec.sequence_size not in (-1, len(found)):
        raise ValueError(f"it has {len(found)} steps but metadata.textproto says sequence_size {spec.sequence_size}")
    if spec.format == "COMPRESSED":
        if isinstance(found, np.ndarray) or not all(isinstance(step, list) and len(step) == 1 for step in found):
            raise ValueError("every time step must hold exactly one encoded image")
        if not found:
            raise ValueError("it holds no image")
        return [step[0] for step in found]
    width = spec.row_count * spec.col_count * spec.num_channels
    if len(found) and (not isinstance(found, np.ndarray) or found.shape[1] != width):
        raise ValueError(f"every time step must hold {width} floats")
    return np.asarray(found, np.float32).reshape(len(found), spec.row_count, spec.col_count, spec.num_channels)


def _sparse_steps(lists: dict[str, records.FeatureList], spec: Spec) -> np.ndarray:
    """(nnz, 2, 1) pairs of (col index, value), or (T, 1, 1) channel indices of old sparse text."""

    def values(name: str) -> np.ndarray:
        found = lists.get(f"0_sparse_{name}", [])
        if not len(found):
            raise ValueError(f"it has no list '0_sparse_{name}', which format SPARSE needs")
        return np.asarray(found[0], np.float32)

    if spec.col_count <= spec.num_channels:
        return values("channel_index")[:, None, None]
    column, value = values("col_index"), values("value")
    if len(column) != len(value):
        raise ValueError(f"it has {len(column)} column indices but {len(value)} values")
    return np.stack([column, value], axis=1)[..., None]
