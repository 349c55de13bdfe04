"""Hashed n-grams: what is counted, how it is weighed, and that new words do no harm."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features import text
from automl_engine.features.text import (
    count_ngrams,
    fit_weights,
    plain_tokens,
    single_characters,
    text_ngrams,
    text_tokens,
    token_hash,
    weigh,
)


def texts(lines: list[str], vocabulary: dict[str, int] | None = None) -> MemoryExamples:
    """Lines split at spaces (or into characters where there is none), indexed by first sight."""
    vocabulary = {} if vocabulary is None else vocabulary
    tokens = [line.split() if " " in line or line.isascii() else list(line) for line in lines]
    steps = [
        np.array([vocabulary.setdefault(token, len(vocabulary)) for token in line], np.float32).reshape(-1, 1, 1)
        for line in tokens
    ]
    spec = Spec("toy", len(lines), 2, -1, 1, 1, 1, is_sequence=True, channel_to_index=vocabulary)
    return MemoryExamples(spec, steps)


def rows(examples: MemoryExamples, characters: bool = False) -> list[dict[int, float]]:
    counts = count_ngrams(examples, characters)
    bounds = zip(counts.starts[:-1], counts.starts[1:], strict=True)
    return [dict(zip(counts.buckets[a:b].tolist(), counts.counts[a:b].tolist(), strict=True)) for a, b in bounds]


def test_number_of_ngrams_of_a_text() -> None:
    (row,) = rows(texts(["ab abc"]))
    # 2 words, 1 pair; in " ab ": 3 + 2 + 1; in " abc ": 4 + 3 + 2, of which " a", "ab" and " ab" are in both
    assert sum(row.values()) == 2 + 1 + 6 + 9
    assert len(row) == 18 - 3


def test_characters_give_runs_of_one_to_three() -> None:
    examples = texts(["好天气好", "好"])
    assert single_characters(examples.spec)
    first, second = rows(examples, characters=True)
    assert sum(first.values()) == 4 + 3 + 2
    assert first[next(iter(second))] == 2  # 好 stands twice in the first text


def test_words_are_not_single_characters() -> None:
    assert not single_characters(texts(["a word or two"]).spec)
    assert not single_characters(Spec("toy", 0, 2, -1, 1, 1, 1))


def test_case_and_punctuation_do_not_make_another_word() -> None:
    plain, shouted = rows(texts(["hello", '"Hello!"']))
    assert len(set(plain) & set(shouted)) >= 1 + 3  # the word itself and the n-grams inside it
    dots = rows(texts(["..."]))[0]
    assert dots  # punctuation alone is still something


def test_runs_stay_inside_their_text() -> None:
    together = rows(texts(["one two", "three four"]))
    apart = [rows(texts([line]))[0] for line in ("one two", "three four")]
    assert together == apart


def test_counts_do_not_depend_on_the_subset_or_the_vocabulary_order() -> None:
    lines = ["the cat sat", "the dog ran", "a cat ran", ""]
    examples = texts(lines)
    whole = rows(examples)
    assert rows(examples.subset([3, 2])) == [whole[3], whole[2]]
    assert rows(texts(lines, {"dog": 0, "zebra": 1, "a": 2})) == whole
    assert whole[3] == {}


def test_long_vocabularies_and_texts_are_counted_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"word{i} and word{i % 3}" for i in range(7)]
    whole = rows(texts(lines))
    monkeypatch.setattr(text, "_CHUNK", 2)
    assert rows(texts(lines)) == whole


def test_index_outside_the_vocabulary_is_a_token_of_its_own() -> None:
    spec = Spec("toy", 1, 2, -1, 1, 1, 1, channel_to_index={"known": 0})
    examples = MemoryExamples(spec, [np.array([0, 99], np.float32).reshape(-1, 1, 1)])
    assert len(rows(examples)[0]) > len(rows(texts(["known"]))[0])


def test_weights_have_length_one_and_rare_words_weigh_more() -> None:
    examples = texts(["common rare", "common other", "common other rare", "common"])
    counts = count_ngrams(examples, False)
    buckets, idf = fit_weights(counts, min_texts=2, max_buckets=1000)
    row, column, value = weigh(counts, buckets, idf)
    np.testing.assert_allclose(np.bincount(row, value.astype(np.float64) ** 2), 1, rtol=1e-5)
    assert idf[np.bincount(column).argmax()] == idf.min()
    assert len(fit_weights(counts, 2, max_buckets=5)[0]) == 5


def test_weighing_leaves_unknown_ngrams_out() -> None:
    vocabulary: dict[str, int] = {}
    train = count_ngrams(texts(["aa bb", "aa bb"], vocabulary), False)
    buckets, idf = fit_weights(train, 2, 1000)
    ids, values = text_ngrams(texts(["aa bb", "zzz", ""], vocabulary), buckets, idf, characters=False)
    assert ids.shape == values.shape
    assert ids.dtype == np.int64
    assert (values[0] > 0).sum() == len(buckets)
    assert values[1].max() == values[2].max() == 0


def test_nothing_at_all_is_still_an_input() -> None:
    ids, values = text_ngrams(texts([]), np.zeros(0, np.int32), np.zeros(0, np.float32), characters=False)
    assert ids.shape == values.shape == (0, 1)


def test_tokens_are_places_among_the_known_ones() -> None:
    known = np.sort([token_hash(word) for word in ("cat", "dog")])
    cat, dog = (2 + known.tolist().index(token_hash(word)) for word in ("cat", "dog"))
    ids = text_tokens(texts(["Cat, dog zebra", "dog a b cat", ""]), known, length=3)
    assert ids.dtype == np.int64
    assert ids.tolist() == [[cat, dog, 1], [dog, 1, cat], [0, 0, 0]]  # of the longer text both ends


def test_tokens_of_no_texts_and_of_no_known_words() -> None:
    assert plain_tokens(texts([])) == []
    assert text_tokens(texts([]), np.zeros(0, np.int64), 4).shape == (0, 4)
    assert text_tokens(texts(["a b"]), np.zeros(0, np.int64), 4).tolist() == [[1, 1, 0, 0]]
