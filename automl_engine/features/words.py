"""The mean of the vectors of a text's words, as a table that was made beforehand has them (``pretrain``)."""

from __future__ import annotations

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.text import plain_tokens


def word_means(examples: Examples, hashes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """(N, D) float32: over the words that have a vector; zeros where none has.

    Args:
        hashes: (V,) int64, rising, of ``token_hash``.
        vectors: (V, D), scaled by how much each word should say.
    """
    texts = plain_tokens(examples)
    lengths = [len(text) for text in texts]
    with clock.work("word means", texts=len(texts), products=sum(lengths) * vectors.shape[1]):
        tokens = np.concatenate([np.zeros(0, np.int64), *texts])
        text_of = np.repeat(np.arange(len(texts)), lengths)
        places = np.searchsorted(hashes, tokens)
        known = np.append(hashes, -1)[places] == tokens
        text_of, places, count = text_of[known], places[known], len(texts)
        words = np.maximum(np.bincount(text_of, minlength=count), 1)
        sums = [np.bincount(text_of, column[places], minlength=count) for column in vectors.T]  # bounds the memory
        return (np.stack(sums, 1) / words[:, None]).astype(np.float32)
