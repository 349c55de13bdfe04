"""Texts by how they are written: length, repetition, scripts, capitals, digits, and the length of their words."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.text import MAX_TOKENS

TOKEN_NAMES = ("characters", "ascii", "latin", "han", "letters", "capitals", "digits", "punctuation")
NAMES = ("log_steps", "different", "repeated", *TOKEN_NAMES, "characters_spread")


def embed(examples: Examples) -> np.ndarray:
    """(n, E) float32."""
    texts = [
        np.asarray(examples.steps(i), np.float32).ravel()[:MAX_TOKENS].astype(np.int64) for i in range(len(examples))
    ]
    used, places = np.unique(np.concatenate([*texts, np.zeros(1, np.int64)]), return_inverse=True)
    vocabulary = examples.origin()[0].spec.vocabulary  # made once, whatever subset asks
    table = np.array([_token(vocabulary.get(index, str(index))) for index in used.tolist()])
    rows = np.split(places, np.cumsum([len(text) for text in texts]))[:-1]
    return np.array([_text(row, table) for row in rows], np.float32)


def _text(tokens: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(T,) places in ``table`` -> (E,)."""
    if not len(tokens):
        return np.zeros(len(NAMES))
    counts = np.bincount(tokens)
    found = table[tokens]
    first = [np.log10(len(tokens)), (counts > 0).sum() / len(tokens), counts.max() / len(tokens)]
    return np.concatenate([first, found.mean(0), found[:, :1].std(0)])


def _token(word: str) -> tuple[float, ...]:
    """``TOKEN_NAMES`` of one token: the logarithm of its length, then shares of its characters."""
    size = max(1, len(word))
    latin = sum("À" <= c <= "ɏ" for c in word)
    han = sum("\u2e80" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" for c in word)
    counts = (
        sum(c.isascii() for c in word),
        latin,
        han,
        sum(c.isalpha() for c in word),
        sum(c.isupper() for c in word),
        sum(c.isdigit() for c in word),
        sum(not c.isalnum() for c in word),
    )
    return np.log(size), *(count / size for count in counts)
