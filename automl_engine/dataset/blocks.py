"""Many records at once, without a loop: the labels of all that are laid out alike, and the rows of a large table."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from mmap import mmap

import numpy as np

from automl_engine.dataset import records
from automl_engine.dataset.records import FOOTER_BYTES, HEADER_BYTES

FEWEST = 256
"""Records in a block, in the mean; where sizes vary more, records are read one by one."""
CHUNK = 16_384
"""Records that are checked at once."""
PACKED = 8
"""Bytes in which labels of one length may differ: together they are one whole number."""


@dataclass(frozen=True)
class Block:
    """Records of one size that follow each other: ``first`` to ``first + len(records)`` of a file."""

    first: int
    bytes: np.ndarray  # (n, header + size + footer) uint8, on the memory map

    def __len__(self) -> int:
        return len(self.bytes)

    def rows(self, numbers: np.ndarray, width: int) -> np.ndarray | None:
        """(n, width) float32 of records that hold one step of so many floats, their checksums checked.

        None where one of them is laid out in another way or damaged.
        """
        parts = []
        for at in range(0, len(numbers), CHUNK):
            some = self.bytes[numbers[at : at + CHUNK] - self.first, HEADER_BYTES:]
            sums = np.ascontiguousarray(some[:, -FOOTER_BYTES:]).view("<u4")[:, 0]
            datas = np.ascontiguousarray(some[:, :-FOOTER_BYTES])
            rows = records.sole_rows(datas, width)
            if rows is None or not np.array_equal(records.masked_crcs(datas), sums):
                return None
            parts.append(rows)
        return np.concatenate(parts) if parts else np.zeros((0, width), np.float32)


def context_lengths(heads: np.ndarray) -> np.ndarray:
    """(n,) bytes of the context of each record, of which ``heads`` (n, bytes) uint8 are the first; 0 = not within."""
    lengths = 2 + heads[:, 1].astype(np.int64)
    return np.where((heads[:, 0] == 10) & (heads[:, 1] < 128) & (lengths <= heads.shape[1]), lengths, 0)


def label_kinds(contexts: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(kinds,) one record of each kind, and (n,) the kind of each record; all of a kind have the same labels.

    ``contexts`` (n, bytes) uint8.  Contexts of a kind are the same but for the content of the entry ``id``, which
    begins and ends at the same byte in all; None where they are laid out in another way.
    """
    span = records.id_span(contexts[0].tobytes())
    if span is None:
        return None
    differ = (contexts != contexts[0]).any(0)
    differ[span] = False
    if differ.sum() > PACKED:
        return None
    packed = np.zeros((len(contexts), PACKED), np.uint8)
    packed[:, : differ.sum()] = contexts[:, differ]
    _, one, kinds = np.unique(packed.view(np.uint64)[:, 0], return_index=True, return_inverse=True)
    return one, kinds


def blocks_of(file: mmap, starts: list[int], ends: list[int]) -> list[Block]:
    """All records of the file in blocks; empty where these would be short."""
    sizes = np.subtract(ends, starts)
    edges = [*np.flatnonzero(np.diff(sizes, prepend=-1)).tolist(), len(sizes)]
    if len(sizes) < FEWEST * (len(edges) - 1):
        return []
    found = []
    for first, end in pairwise(edges):
        from_byte, to_byte = starts[first] - HEADER_BYTES, ends[end - 1] + FOOTER_BYTES
        content = np.frombuffer(file, np.uint8, to_byte - from_byte, from_byte)
        found.append(Block(first, content.reshape(end - first, -1)))
    return found
