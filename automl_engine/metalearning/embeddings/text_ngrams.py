"""Texts as hashed n-grams of words and characters, brought to a few coordinates by signed hashing.

Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009: products of points are, but for
noise, those of the whole n-gram vectors.
"""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.text import count_ngrams, single_characters

WIDTH = 128
NAMES = tuple(f"ngrams_{place}" for place in range(WIDTH))
_PRIME = np.uint64(0xD6E8FEB86659FD93)


def embed(examples: Examples) -> np.ndarray:
    """(n, WIDTH) float32, each of length 1 (0 for an empty text)."""
    found = count_ngrams(examples, single_characters(examples.spec))
    mixed = (found.buckets.astype(np.uint64) + np.uint64(1)) * _PRIME
    places = (mixed >> np.uint64(32)).astype(np.int64) % WIDTH
    signs = 1 - 2 * (mixed >> np.uint64(63)).astype(np.float64)
    at = found.texts() * WIDTH + places
    sums = np.bincount(at, signs * (1 + np.log(found.counts)), len(examples) * WIDTH).reshape(-1, WIDTH)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32)
