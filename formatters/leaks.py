"""What makes scores look better than they are: near-copies across the split, and the same speaker on both sides.

Candidates share a part of a hash (a difference hash of pictures, MinHash of texts), and only a few of them are compared
with each sample, so the cost grows with the number of samples.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from formatters.words import counted

Pairs = list[tuple[int, int]]  # (test sample, train sample)
Alike = tuple[Pairs, Pairs]  # (nearly identical, only similar); no test sample is in both

MAX_COMPARED = 4  # train samples that share one part of a test sample's hash
SAME_PICTURE = 0.995  # correlation of two tiny copies of what looks alike, such as two frames of one camera
COPY_LEVELS = 4  # grey levels by which tiny copies of one picture, saved anew, may differ in a pixel
MIN_LEVELS = 12.0  # standard deviation of the grey levels (0 to 255): below, there is nothing to compare
SHINGLE_WORDS = 3
MIN_SHINGLES = 6  # shorter texts are alike by chance
SAME_TEXT = 0.8  # share of shingles that two texts have in common
HASHES, HASHES_A_BAND = 32, 4
WHO = r"speaker|patient|participant|respondent|lesion|recording|session|actor"
WHO_IN_NAMES = (
    r"speaker|spkr?|patient|participant|respondent|session|actor|subject|subj?|person|user|client|driver|writer"
)
NUMBERED_WHO = re.compile(rf"(?<![a-z])({WHO_IN_NAMES})[\s_.-]?(\d+)(?!\d)", re.IGNORECASE)
LETTERED_WHO = re.compile(r"(?<![^\W_])[SP]\d{2,3}(?![^\W_])")  # S01, P12
WHO_BY_ID = rf"{WHO}|subject|person|user|customer|client|group|household|animal|series|driver|writer|author"
GROUP_NAME = re.compile(rf"(.*_)?({WHO}|({WHO_BY_ID})s?_?(id|no|nr|number|code))", re.IGNORECASE)


def alike_pictures(looks: Sequence[bytes], train: Sequence[int], test: Sequence[int]) -> Alike:
    """Pairs that look the same, and similar ones; ``looks``: tiny grey copies, an even number of pixels a side."""
    side = int(len(looks[0]) ** 0.5)
    pixels = np.frombuffer(b"".join(looks), np.uint8).reshape(-1, side, side).astype(np.float32)
    coarse = pixels.reshape(-1, side // 2, 2, side // 2, 2).mean((2, 4))
    across, down = coarse[:, :, 1:] > coarse[:, :, :-1], coarse[:, 1:] > coarse[:, :-1]
    bits = np.concatenate([across.reshape(len(looks), -1), down.reshape(len(looks), -1)], axis=1)
    bands = np.array_split(np.packbits(bits, axis=1), 7, axis=1)  # (N, 2) bytes each
    levels = pixels.reshape(len(looks), -1)
    flat = levels - levels.mean(1, keepdims=True)
    spread = np.sqrt((flat**2).mean(1))
    flat /= np.maximum(spread, 1)[:, None]

    def similar(one: int, other: int) -> bool:
        shown = min(spread[one], spread[other]) >= MIN_LEVELS
        return bool(shown and flat[one] @ flat[other] >= SAME_PICTURE * flat.shape[1])

    def same(one: int, other: int) -> bool:
        return similar(one, other) and bool(np.abs(levels[one] - levels[other]).max() <= COPY_LEVELS)

    keys = [[(at, band[i].tobytes()) for at, band in enumerate(bands)] for i in range(len(looks))]
    copies = _pairs(keys, train, test, same)
    copied = {sample for sample, _ in copies}
    return copies, _pairs(keys, train, [sample for sample in test if sample not in copied], similar)


def alike_texts(texts: Sequence[str], train: Sequence[int], test: Sequence[int]) -> Alike:
    """Pairs of texts that share most of their runs of three words (Broder: On the resemblance of documents, 1997)."""
    shingles = [_shingles(text) for text in texts]
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, HASHES, dtype=np.uint64) | np.uint64(1)
    keys = []
    for held in shingles:
        least = (held[None] * factors[:, None]).min(1) if len(held) >= MIN_SHINGLES else np.zeros(0, np.uint64)
        bands = least.reshape(-1, HASHES_A_BAND)
        keys.append([(at, band.tobytes()) for at, band in enumerate(bands)])

    def same(one: int, other: int) -> bool:
        both = len(np.intersect1d(shingles[one], shingles[other], assume_unique=True))
        return both >= SAME_TEXT * (len(shingles[one]) + len(shingles[other]) - both)

    return _pairs(keys, train, test, same), []


def _shingles(text: str) -> np.ndarray:
    """Hashes of all runs of words, each once; uint64."""
    words = re.findall(r"[\u3040-\u9fff]|\w+", text.lower())
    hashes = np.array([zlib.crc32(word.encode()) for word in words], np.uint64)
    runs = hashes[: max(0, len(words) - SHINGLE_WORDS + 1)].copy()
    for behind in range(1, SHINGLE_WORDS):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + hashes[behind : behind + len(runs)]
    return np.unique(runs)


def _pairs(
    keys: Sequence[Sequence[Hashable]],
    train: Sequence[int],
    test: Sequence[int],
    same: Callable[[int, int], bool],
) -> Pairs:
    """For each test sample the first train sample that shares a key and is the same."""
    holders: dict[Hashable, list[int]] = {}
    for sample in train:
        for key in keys[sample]:
            found = holders.setdefault(key, [])
            if len(found) < MAX_COMPARED:
                found.append(sample)
    pairs = []
    for sample in test:
        candidates = dict.fromkeys(other for key in keys[sample] for other in holders.get(key, ()))
        match = next((other for other in candidates if same(sample, other)), None)
        if match is not None:
            pairs.append((sample, match))
    return pairs


def is_group_name(column: str) -> bool:
    """Is a column named after who or what several samples come from?"""
    return bool(GROUP_NAME.fullmatch(re.sub(r"(?<=[a-z])(?=[A-Z])|[\s.-]+", "_", column.strip())))


def groups_in_names(sources: Sequence[str], labels: Sequence[Hashable]) -> dict[str, list[str]]:
    """Speakers, patients and the like that the paths of files name (speaker5, S01): one a sample, "" where none is."""
    found: dict[str, list[str]] = {}
    for at, source in enumerate(sources):
        named = [(match[1].lower(), f"{match[1].lower()} {int(match[2])}") for match in NUMBERED_WHO.finditer(source)]
        named += [("subject", match[0]) for match in LETTERED_WHO.finditer(source)]
        for name, value in named:
            found.setdefault(name, [""] * len(sources))[at] = value
    return {name: values for name, values in found.items() if not _is_the_label(values, labels)}


def _is_the_label(values: Sequence[str], labels: Sequence[Hashable]) -> bool:
    """Has each of them a class of its own, as where speakers are to be told apart?"""
    pairs = {pair for pair in zip(values, labels, strict=True) if pair[0]}
    return len(pairs) == len({value for value, _ in pairs}) == len({label for _, label in pairs})


def shared_groups(groups: dict[str, list[str]], train: Sequence[int], test: Sequence[int]) -> Iterable[tuple[str, str]]:
    """Each column whose values stand on both sides, and what to tell of it."""
    for name, values in groups.items():
        sides = [{values[i] for i in side} - {""} for side in (train, test)]
        both = sides[0] & sides[1]
        if len(sides[0] | sides[1]) > 1 and both and 2 * len(sides[0] | sides[1]) <= len(values):
            what = counted(len(both), f"value of {name!r} stands", f"values of {name!r} stand")
            yield name, f"{what} in train and in test, such as {min(both)!r}, so scores look better than on new ones"
