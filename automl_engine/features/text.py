"""Hashed n-grams of texts: words and pairs of words with the character n-grams inside each word, or, where the
tokens are single characters (Chinese), runs of one to three characters.

A vocabulary entry is hashed once, and a text is a sum over its tokens; everything between is array arithmetic.
Words that were not seen in training still bring their character n-grams.  Weighting is tf-idf (sublinear tf,
length 1 by Euclid), as in Joachims 1998 and, for character n-grams within words, Bojanowski et al. 2017.

Networks read the same tokens in their order (``text_tokens``).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.cached import cached

BUCKET_BITS = 22  # few collisions; only the buckets that training kept are ever stored
BUCKETS = 1 << BUCKET_BITS
CHARACTER_SIZES = (2, 3, 4)
MAX_TOKENS = 1000  # a text is read up to here
PADDING, UNKNOWN, FIRST_KNOWN = 0, 1, 2  # token ids of networks
_CHUNK = 2000  # texts that are counted at once: bounds the memory
_PRIME = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: Knuth's multiplicative hashing


@dataclass(frozen=True)
class Counts:
    """n-gram counts of N texts as compressed rows: text i owns entries ``starts[i]:starts[i + 1]``."""

    starts: np.ndarray  # (N + 1,) int64
    buckets: np.ndarray  # (nnz,) int32, rising within a text
    counts: np.ndarray  # (nnz,) float32

    def texts(self) -> np.ndarray:
        """(nnz,) the text that each entry belongs to."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


def single_characters(spec: Spec) -> bool:
    """The texts are split into characters (as Chinese is): nearly all of the vocabulary is one character long."""
    lengths = np.array([len(token) for token in spec.channel_to_index] or [2])
    return bool((lengths == 1).mean() > 0.8)


def count_ngrams(examples: Examples, characters: bool) -> Counts:
    """Counts of hashed n-grams; ``characters`` as ``single_characters`` of the training data says."""
    rows = cached(examples, ("ngrams", characters), lambda some: _count_examples(some, characters))
    sizes = [len(buckets) for buckets, _ in rows]
    with clock.work("gather n-grams", texts=len(rows), entries=sum(sizes)):
        return Counts(
            np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]),
            np.concatenate([np.zeros(0, np.int32), *(buckets for buckets, _ in rows)]),
            np.concatenate([np.zeros(0, np.float32), *(counts for _, counts in rows)]),
        )


def _count_examples(examples: Examples, characters: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Buckets and counts of each text."""
    rows = []
    vocabulary = examples.spec.vocabulary
    for at in range(0, len(examples), _CHUNK):
        chunk = range(at, min(at + _CHUNK, len(examples)))
        with clock.work("n-grams of characters" if characters else "n-grams") as lap:
            texts = [np.asarray(examples.steps(i), np.float32).ravel()[:MAX_TOKENS] for i in chunk]
            found = _count_texts(texts, vocabulary, characters)
            ends = found.starts.tolist()
            rows += [(found.buckets[start:end], found.counts[start:end]) for start, end in pairwise(ends)]
            lap(texts=len(texts), tokens=sum(map(len, texts)), entries=ends[-1])
    return rows


def _count_texts(texts: list[np.ndarray], vocabulary: dict[int, str], characters: bool) -> Counts:
    """Texts are (T,) float32 token indices; an index that the vocabulary lacks is its own token."""
    text_of = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    used, tokens = np.unique(np.concatenate([*texts, np.zeros(0)]).astype(np.int64), return_inverse=True)
    words = [vocabulary.get(index, str(index)) for index in used.tolist()]
    hashes = np.array([zlib.crc32(_plain(word).encode("utf-8", "surrogatepass")) for word in words], np.uint64)
    pieces = _token_runs(hashes[tokens], text_of, size=3 if characters else 2)
    if not characters and len(words):
        starts, grams = _grams_in_words(words)
        picks, owner = _gather_rows(starts, tokens)
        pieces.append((text_of[owner], grams[picks]))
    keys = np.concatenate([text * BUCKETS + bucket for text, bucket in pieces])
    keys.sort()
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    starts = np.searchsorted(keys[first], np.arange(len(texts) + 1) * BUCKETS)
    counts = np.diff(first, append=len(keys)).astype(np.float32)
    return Counts(starts, (keys[first] % BUCKETS).astype(np.int32), counts)


def _plain(word: str) -> str:
    """Lower case, without the punctuation around it (unless it is nothing else)."""
    low = word.lower()
    return low.strip("\"'`.,;:!?()[]{}<>*_-…“”‘’«»") or low


def _bucket(hashes: np.ndarray, salt: int) -> np.ndarray:
    """(n,) uint64 -> int64 below BUCKETS; the salt keeps n-grams of different kinds apart."""
    mixed = (hashes + np.uint64(salt)) * _PRIME
    return (mixed >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)


def _token_runs(hashes: np.ndarray, text_of: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Runs of 1 to ``size`` tokens that stay inside one text, as (text, bucket) pairs."""
    pieces, run = [], hashes
    for n in range(1, size + 1):
        if n > 1:
            run = run[:-1] * _PRIME + hashes[n - 1 :]
        inside = text_of[: len(run)] == text_of[n - 1 :]
        pieces.append((text_of[: len(run)][inside], _bucket(run[inside], salt=n)))
    return pieces


def _grams_in_words(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Buckets of the character n-grams of each word (with its borders): word w owns starts[w]:starts[w + 1]."""
    marked = [f" {word.lower()} " for word in words]
    codes = np.frombuffer("".join(marked).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    word_of = np.repeat(np.arange(len(words)), [len(word) for word in marked])
    owners, grams, run = [], [], codes
    for n in range(2, max(CHARACTER_SIZES) + 1):
        run = run[:-1] * _PRIME + codes[n - 1 :]
        if n in CHARACTER_SIZES:
            inside = word_of[: len(run)] == word_of[n - 1 :]
            owners.append(word_of[: len(run)][inside])
            grams.append(_bucket(run[inside], salt=100 + n))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.searchsorted(owner[order], np.arange(len(words) + 1)), np.concatenate(grams)[order]


def _gather_rows(starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all entries of these compressed rows, and for each the index into ``rows``."""
    sizes = np.diff(starts)[rows]
    owner = np.repeat(np.arange(len(rows)), sizes)
    before = np.cumsum(sizes) - sizes
    return np.arange(len(owner)) - before[owner] + starts[rows][owner], owner


def fit_weights(counts: Counts, min_texts: int, max_buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``max_buckets`` most common buckets found in at least ``min_texts`` texts (D,) and their inverse document
    frequencies (D,) float32."""
    texts = np.bincount(counts.buckets, minlength=1)
    buckets = np.flatnonzero(texts >= min(min_texts, max(texts.max(), 1)))
    if len(buckets) > max_buckets:
        buckets = np.sort(buckets[np.argpartition(-texts[buckets], max_buckets)[:max_buckets]])
    n = len(counts.starts) - 1
    return buckets.astype(np.int32), (np.log((1 + n) / (1 + texts[buckets])) + 1).astype(np.float32)


def weigh(counts: Counts, buckets: np.ndarray, idf: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (nnz',), columns (position in ``buckets``) and tf-idf values float32; other buckets are left out."""
    column_of = np.full(BUCKETS, -1, np.int32)
    column_of[buckets] = np.arange(len(buckets))
    columns = column_of[counts.buckets]
    known = columns >= 0
    rows, columns = counts.texts()[known], columns[known]
    values = (1 + np.log(counts.counts[known])) * idf[columns]
    norms = np.sqrt(np.bincount(rows, values.astype(np.float64) ** 2, len(counts.starts) - 1))
    return rows, columns, (values / norms[rows]).astype(np.float32)


def text_ngrams(
    examples: Examples, buckets: np.ndarray, idf: np.ndarray, characters: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (N, L) int64 and tf-idf values (N, L) float32, each text's entries padded with zeros to the longest."""
    rows, columns, values = weigh(count_ngrams(examples, characters), buckets, idf)
    sizes = np.bincount(rows, minlength=len(examples))
    place = np.arange(len(rows)) - (np.cumsum(sizes) - sizes)[rows]
    ids = np.zeros((len(examples), max(1, sizes.max(initial=0))), np.int64)
    weights = np.zeros(ids.shape, np.float32)
    ids[rows, place], weights[rows, place] = columns, values
    return ids, weights


def plain_tokens(examples: Examples) -> list[np.ndarray]:
    """Per text (T,) int64 hashes of its plain tokens, in their order."""
    return cached(examples, "tokens", _hash_tokens)


def token_hash(word: str) -> int:
    """What ``plain_tokens`` makes of a token."""
    return zlib.crc32(_plain(word).encode("utf-8", "surrogatepass"))


def _hash_tokens(examples: Examples) -> list[np.ndarray]:
    with clock.work("tokens", lambda: {"texts": len(texts), "tokens": len(tokens), "words": len(used)}):
        texts = [np.asarray(examples.steps(i), np.float32).ravel()[:MAX_TOKENS] for i in range(len(examples))]
        used, tokens = np.unique(np.concatenate([*texts, np.zeros(0)]).astype(np.int64), return_inverse=True)
        vocabulary = examples.spec.vocabulary
        hashes = np.array([token_hash(vocabulary.get(index, str(index))) for index in used.tolist()], np.int64)
        return np.split(hashes[tokens], np.cumsum([len(text) for text in texts])[:-1]) if texts else []


def text_tokens(examples: Examples, known: np.ndarray, length: int) -> np.ndarray:
    """(N, length) int64: the place of each token among the ``known`` hashes (V,) int64, rising, counted from 2.

    1 stands for any other token, 0 fills up at the end.  Of a longer text the beginning and the end are kept
    (Sun et al. 2019, "How to fine-tune BERT for text classification?", section 5.3.1).
    """
    whole = plain_tokens(examples)
    with clock.work("token ids", texts=len(whole), cells=len(whole) * length):
        texts = [_both_ends(text, length) for text in whole]
        ids = np.full((len(texts), length), PADDING, np.int64)
        filled = np.arange(length) < np.array([len(text) for text in texts], np.int64).reshape(-1, 1)
        hashes = np.concatenate([np.zeros(0, np.int64), *texts])
        places = np.searchsorted(known, hashes)
        found = np.append(known, -1)[places] == hashes
        ids[filled] = np.where(found, places + FIRST_KNOWN, UNKNOWN)
        return ids


def _both_ends(text: np.ndarray, length: int) -> np.ndarray:
    half = length // 2
    return text if len(text) <= length else np.concatenate([text[: length - half], text[len(text) - half :]])


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
