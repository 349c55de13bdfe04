"""Texts -> token indices: words parted by blanks, or single characters where words are not parted (Chinese, DNA).

As in the challenge, the vocabulary is built in first-seen order and every token passes through Python's repr
escaping.  Marks stay at their words and case is kept, so nothing is lost; a model folds them if it likes.  Any run of
white space parts words, where the challenge's tool takes each single space and makes empty tokens of double ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

Language = Literal["words", "characters"]

UNPARTED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")  # kana and CJK ideographs
LETTER = re.compile(r"[^\W\d_]")
MIN_UNPARTED_SHARE = 0.3
MIN_SINGLE_SHARE = 0.9
SAMPLE_TEXTS = 2000
EMPTY = "∅"  # what a text without any token consists of; one character, as readers tell Chinese by that


def language_of(texts: Sequence[str]) -> Language:
    """Characters where at least 30 % of the letters are Chinese or Japanese, or where texts are single words of their
    own, as sequences of DNA, formulas of molecules and passwords are.
    """
    single = sum(len(text.split(maxsplit=1)) == 1 for text in texts)
    if single >= MIN_SINGLE_SHARE * len(texts) and len(set(texts)) > len(texts) / 2:
        return "characters"
    sample = "".join(text[:1000] for text in texts[:: max(1, len(texts) // SAMPLE_TEXTS)])
    letters = len(LETTER.findall(sample))
    return "characters" if len(UNPARTED.findall(sample)) > MIN_UNPARTED_SHARE * max(1, letters) else "words"


def tokenise(text: str, language: Language) -> list[str]:
    """At least one token."""
    tokens = text.split() if language == "words" else [c for c in text if not c.isspace()]
    return tokens or [EMPTY]


def escape(token: str) -> str:
    """The content of Python's repr, as in the challenge's files."""
    return repr(token)[1:-1]


def index_texts(texts: Iterable[str], language: Language, vocabulary: dict[str, int]) -> list[np.ndarray]:
    """(T,) int32 vocabulary indices of each text; tokens that are new are appended to ``vocabulary``."""
    known: dict[str, int] = {}  # by the plain token: each is escaped once
    indexed = []
    for text in texts:
        indices = []
        for token in tokenise(text, language):
            index = known.get(token)
            if index is None:
                index = known[token] = vocabulary.setdefault(escape(token), len(vocabulary))
            indices.append(index)
        indexed.append(np.array(indices, np.int32))
    return indexed
