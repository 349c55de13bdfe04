"""Copies: samples of the same content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from automl_engine.dataset.examples import Steps
from formatters.base import Table
from formatters.media.ahead import in_order


def originals(table: Table) -> np.ndarray:
    """(N,) of each sample, the first one with the same content."""
    first: dict[bytes, int] = {}
    digests = in_order(table, table.digest or (lambda i: _digest(table.steps(i))), range(len(table.samples)))
    return np.fromiter((first.setdefault(digest, i) for i, digest in enumerate(digests)), np.int64)


def sets_of_copies(first: np.ndarray) -> list[list[int]]:
    """Samples that have the same content, from ``originals``: only sets of two and more."""
    sets: dict[int, list[int]] = {}
    for i in np.flatnonzero(first != np.arange(len(first))).tolist():
        sets.setdefault(int(first[i]), [int(first[i])]).append(i)
    return [sets[original] for original in sorted(sets)]


def disputed(table: Table, same: Sequence[int]) -> bool:
    """Have these copies several labellings?"""
    return len({frozenset(table.samples[i].labels) for i in same}) > 1


def _digest(steps: Steps) -> bytes:
    hasher = hashlib.sha256()
    for step in [np.ascontiguousarray(steps).tobytes()] if isinstance(steps, np.ndarray) else steps:
        hasher.update(step)
    return hasher.digest()
