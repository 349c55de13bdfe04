"""The class in the names of files (cat.0.jpg, 03-happy-speaker5.wav), for uploads where nothing else tells it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from formatters.split_words import part_of

NO_CLASSES = {  # words that cameras, recorders and programs put into names
    *("img", "image", "images", "dsc", "dscn", "dscf", "pxl", "photo", "picture", "pic", "frame", "video", "vid"),
    *("mvi", "gopr", "audio", "sound", "rec", "recording", "track", "sample", "file", "scan", "screenshot", "clip"),
    *("copy", "wav", "text", "doc", "document", "speaker", "subject", "patient", "take", "whatsapp"),
}
MAX_CLASSES = 200
MIN_FILES = 4


def classes_in_names(names: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """(the class of each file, examples of what else in the names could be it), or None when no word comes back.

    Args:
        names: without folders.
    """
    stems = [unicodedata.normalize("NFC", name.rpartition(".")[0] or name) for name in names]
    if len(stems) < MIN_FILES:
        return None
    words = [[re.sub(r"\d+$", "", word) or word for word in re.split(r"[\W_]+", stem) if word] for stem in stems]
    if len({len(row) for row in words}) == 1:
        found = _distinct_partitions([column for column in map(list, zip(*words, strict=True)) if _is_class(column)])
    else:
        fronts = [re.sub(r"[\s._-]*\(?\d+\)?$", "", stem) for stem in stems]
        found = [fronts] if _is_class(fronts) else []
    if not found:
        return None
    return found[0], [f"{other[0]!r}" for other in found[1:]]


def _is_class(column: list[str]) -> bool:
    """Words that all come back: neither numbers, nor the names of parts, nor what devices write."""
    counts = Counter(column)
    if not 2 <= len(counts) <= min(MAX_CLASSES, len(column) / 2) or min(counts.values()) < 2:
        return False
    return not any(re.fullmatch(r"[\d\s._-]*", word) or word.lower() in NO_CLASSES or part_of(word) for word in counts)


def _distinct_partitions(columns: list[list[str]]) -> list[list[str]]:
    """Columns that part the files alike are the words of one name ("golden retriever"), and are joined."""
    joined: dict[tuple[int, ...], list[list[str]]] = {}
    for column in columns:
        order = {word: at for at, word in enumerate(dict.fromkeys(column))}
        joined.setdefault(tuple(order[word] for word in column), []).append(column)
    return [[" ".join(words) for words in zip(*same, strict=True)] for same in joined.values()]
