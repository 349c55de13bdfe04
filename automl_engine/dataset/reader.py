"""A split on disk: records are indexed once by their headers, read and decoded on demand."""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Literal

import numpy as np

from automl_engine import clock
from automl_engine.dataset import records
from automl_engine.dataset.blocks import Block, blocks_of, context_lengths, label_kinds
from automl_engine.dataset.decode import ImageCache, prepare
from automl_engine.dataset.examples import Examples, Steps, SubsetExamples
from automl_engine.dataset.records import FOOTER_BYTES, HEADER_BYTES
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError

HEAD_BYTES = 160
"""The context of an example with a few labels lies within."""
FORGET_EVERY = 4096
"""Records: touching one maps up to 64 kB of the file."""
LARGE_BYTES = 1 << 15
FEW = 16
MIN_LABEL_CELLS, MAX_LABEL_CELLS_PER_BYTE = 1 << 24, 16
"""A matrix of labels larger than both of these cannot be meant."""


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
    if not count:
        raise DataError(f"{data_dir.name}/{split} holds no records; add them.")
    label_cells = count * spec.output_dim
    if label_cells > MIN_LABEL_CELLS and label_cells > MAX_LABEL_CELLS_PER_BYTE * sum(shard.size for shard in shards):
        raise DataError(
            f"metadata.textproto of {data_dir.name}/{split} says output_dim {spec.output_dim:,}, far more classes than "
            "such small records can be of; correct the number."
        )
    if spec.domain in ("image", "video"):
        prepare()
    return RecordExamples(spec, shards)


class Shard:
    """One TFRecord file and where its records lie; safe to read from several threads.

    The index, the labels and small records are read from a memory map, which is quicker (the threads need not wait
    for each other) and gives its pages back now and then; large records by ``pread``, which maps nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this object
        self.size = os.fstat(self._file.fileno()).st_size
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else None
        self._starts, self._ends = self._scan()

    def __len__(self) -> int:
        return len(self._starts)

    def sizes(self, first: int, end: int) -> np.ndarray:
        return np.subtract(self._ends[first:end], self._starts[first:end])

    def peek(self, number: int, most_bytes: int | None = None) -> bytes:
        """The data of a record or its first bytes, unchecked."""
        assert self._map
        start, end = self._starts[number], self._ends[number]
        return self._map[start : end if most_bytes is None else min(end, start + most_bytes)]

    def data(self, number: int) -> bytes:
        """The data of a record, its checksum checked.

        Raises:
            CorruptRecord: the content is damaged.
        """
        start, end = self._starts[number], self._ends[number]
        if end - start >= LARGE_BYTES or not self._map:
            both = os.pread(self._file.fileno(), end - start + FOOTER_BYTES, start)
            return records.checked(both[: end - start], both, end - start)
        return records.checked(self._map[start:end], self._map, end)

    @cached_property
    def blocks(self) -> list[Block]:
        """All records, where many of one size follow each other; else none."""
        return blocks_of(self._map, self._starts, self._ends) if self._map else []

    def forget(self) -> None:
        """Give back the pages of the map."""
        if self._map:
            self._map.madvise(mmap.MADV_DONTNEED)

    def error(self, number: int, what: object) -> DataError:
        return DataError(f"record {number} of {self.path.name} cannot be read: {what}; get the file again.")

    def heads(self, first: int, end: int) -> np.ndarray:
        """(end - first, HEAD_BYTES) uint8, the first bytes of records, unchecked; zeros behind the end of the file."""
        assert self._map
        starts, view = np.array(self._starts[first:end]), np.frombuffer(self._map, np.uint8)
        heads = np.zeros((len(starts), HEAD_BYTES), np.uint8)
        inside = starts + HEAD_BYTES <= self.size
        if inside.any():
            heads[inside] = np.lib.stride_tricks.sliding_window_view(view, HEAD_BYTES)[starts[inside]]
        for row in np.flatnonzero(~inside):
            heads[row, : self.size - starts[row]] = view[starts[row] :]
        return heads

    def _scan(self) -> tuple[list[int], list[int]]:
        """Where the data of each record starts and ends."""
        starts: list[int] = []
        ends: list[int] = []
        headers: list[bytes] = []
        at, size, view = 0, self.size, self._map
        while view and at < size:
            header = view[at : at + HEADER_BYTES]
            start = at + HEADER_BYTES
            end = start + int.from_bytes(header[:8], "little")
            at = end + FOOTER_BYTES
            headers.append(header)
            starts.append(start)
            ends.append(end)
            if at > size or len(headers) == FORGET_EVERY:
                self._check_headers(headers, len(starts) - len(headers))
                self.forget()
            if at > size:
                raise self.error(len(starts) - 1, "the file ends inside it")
            if len(starts) == FEW and at > FEW * LARGE_BYTES:
                view.madvise(mmap.MADV_RANDOM)  # reading ahead would read the whole file
        self._check_headers(headers, len(starts) - len(headers))
        self.forget()
        return starts, ends

    def _check_headers(self, headers: list[bytes], first: int) -> None:
        """Empties the list of headers, which are those of the records from ``first`` on."""
        found = records.bad_header(headers)
        headers.clear()
        if found:
            raise self.error(first + found[0], found[1])


class RecordExamples(Examples):
    """Examples read from shards; labels from the contexts alone, the rest when it is asked for."""

    def __init__(self, spec: Spec, shards: Sequence[Shard]) -> None:
        self.spec = spec
        self._shards = shards
        self._first = list(accumulate((len(shard) for shard in shards), initial=0))
        self._one_image = spec.format == "COMPRESSED" and spec.sequence_size in (1, -1)
        cells = spec.row_count * spec.col_count * spec.num_channels
        self._row_width = cells if spec.format == "DENSE" and spec.sequence_size == 1 and cells > 0 else None
        self._cache = ImageCache(self)

    def __len__(self) -> int:
        return self._first[-1]

    @cached_property
    def _label_matrix(self) -> np.ndarray:
        with clock.work("labels", examples=len(self), cells=len(self) * self.spec.output_dim):
            return np.concatenate([self._shard_labels(shard) for shard in self._shards])

    def _shard_labels(self, shard: Shard) -> np.ndarray:
        """(n, K) float32; records with the same labels share the bytes that say so, and each kind is parsed once."""
        matrix = np.empty((len(shard), self.spec.output_dim), np.float32)
        for first in range(0, len(shard), FORGET_EVERY):
            heads = shard.heads(first, first + FORGET_EVERY)
            numbers = np.arange(first, first + len(heads))
            lengths = context_lengths(heads)
            lengths[lengths > shard.sizes(first, first + FORGET_EVERY)] = 0  # a context that claims the next record
            for length in np.unique(lengths).tolist():
                alike = np.flatnonzero(lengths == length)
                found = label_kinds(heads[alike, :length]) if length else None
                matrix[numbers[alike]] = self._kinds_of(shard, numbers[alike], found)
            shard.forget()
        return matrix

    def _kinds_of(self, shard: Shard, numbers: np.ndarray, found: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
        """(len(numbers), K): each kind parsed once, where kinds were found; else by the bytes that tell the labels."""
        if found:
            return np.stack([self._labels_of(shard, number) for number in numbers[found[0]].tolist()])[found[1]]
        rows: dict[bytes, np.ndarray] = {}
        out = np.empty((len(numbers), self.spec.output_dim), np.float32)
        for place, number in enumerate(numbers.tolist()):
            key = records.label_bytes(shard.peek(number, HEAD_BYTES))
            row = rows.get(key) if key is not None else None
            if row is None:
                row = self._labels_of(shard, number)
                if key is not None:
                    rows[key] = row
            out[place] = row
        return out

    def _labels_of(self, shard: Shard, number: int) -> np.ndarray:
        row = np.zeros(self.spec.output_dim, np.float32)
        try:
            _scatter(records.decode_context(shard.peek(number)), row)
        except ValueError as error:
            raise shard.error(number, error) from error
        return row

    @property
    def labels(self) -> np.ndarray:
        return self._label_matrix

    def steps(self, index: int) -> Steps:
        shard_number = bisect_right(self._first, index) - 1 if len(self._shards) > 1 else 0
        shard, number = self._shards[shard_number], index - self._first[shard_number]
        try:
            data = shard.data(number)
            if self._row_width and (row := records.sole_row(data, self._row_width)) is not None:
                return row.reshape(1, self.spec.row_count, self.spec.col_count, self.spec.num_channels)
            image = records.sole_image(data) if self._one_image else None
            return [image] if image is not None else steps_of(records.decode_lists(data), self.spec)
        except ValueError as error:
            raise shard.error(number, error) from error

    def rows(self, indices: np.ndarray) -> np.ndarray:
        out = np.empty((len(indices), self._row_width or 0), np.float32)
        for first, shard in zip(self._first, self._shards, strict=False):
            for block in shard.blocks:
                begin = first + block.first
                inside = np.flatnonzero((begin <= indices) & (indices < begin + len(block)))
                rows = block.rows(indices[inside] - first, self._row_width) if self._row_width else None
                if rows is None:
                    return super().rows(indices)
                out[inside] = rows
            shard.forget()
        return out if all(shard.blocks for shard in self._shards) else super().rows(indices)

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
        raise ValueError(f"label_index must be in [0, {len(row)}) but got {index[:9].tolist()}")
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
