"""How each kind of input is cut into parts, and how a part is hidden: areas of a picture are painted in its mean
colour, words are left out, stretches of a series take its mean, a band of a sound is silenced for a while, and a cell
of a table takes the values of other rows.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from automl_engine.dataset.decode import decode_image
from automl_engine.dataset.examples import Examples, Steps
from automl_engine.dataset.spec import Spec
from automl_engine.features.audio import RATE_HZ, mel_picture
from automl_engine.features.tabular import tabular_values
from automl_engine.features.text import MAX_TOKENS, single_characters

SIDE, FRAMES = 160, 12
"""A larger picture is looked at in this size, a longer clip in so many frames."""
PICTURE_SIDES = (3, 6, 10, 14)
SOUND_PARTS = ((4, 2), (8, 4), (14, 6), (24, 8))
"""(stretches of time, bands)"""
SPANS = (8, 24, 80, 240)
"""Of words, or of a series."""
MOST_COLUMNS = 400
DRAWS = (4, 16)
"""Other rows whose values a cell takes."""
SHOWN_STEPS = 240
SPECTRUM_FRAMES = 160


@dataclass(frozen=True)
class Level:
    """One way to cut the input into parts: the shape of their weights, and the inputs with part i hidden."""

    shape: tuple[int, ...]
    hidden: Callable[[int], list[Steps]]
    about: dict[str, Any] = field(default_factory=dict)
    """What a page needs to show these parts."""

    @property
    def count(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Subject:
    """The input as it is looked at, and its levels from few parts to many."""

    kind: str
    steps: Steps
    levels: list[Level]
    about: dict[str, Any]


def subject_of(recipe: dict[str, Any], examples: Examples, others: Examples | None) -> Subject:
    steps, spec = examples.steps(0), examples.spec
    if spec.domain in ("image", "video"):
        return _pictures(steps, spec)
    if spec.domain == "tabular":
        return _row(examples, recipe.get("columns", []), others)
    assert isinstance(steps, np.ndarray)
    if spec.domain == "text":
        return _text(steps, spec)
    return _sound(examples) if recipe["modality"] == "audio" and len(steps) else _series(steps)


# Pictures and clips


def _pictures(steps: Steps, spec: Spec) -> Subject:
    """The same area is hidden in all frames of a clip."""
    is_encoded = not isinstance(steps, np.ndarray)
    frames = _frames(steps, spec.num_channels)
    encode: Callable[[np.ndarray], Steps] = _encoded if is_encoded else lambda clip: clip
    colour = frames.mean(axis=(0, 1, 2))

    def level(side: int) -> Level:
        def hidden(part: int) -> list[Steps]:
            covered = frames.copy()
            row, column = divmod(part, side)
            covered[:, _around(row, side, frames.shape[1]), _around(column, side, frames.shape[2])] = colour
            return [encode(covered)]

        return Level((side, side), hidden)

    kind = "picture" if spec.domain == "image" else "clip"
    middle = frames[len(frames) // 2]
    shown = middle if middle.dtype == np.uint8 else (255 * _stretched(middle)).astype(np.uint8)
    levels = [level(side) for side in PICTURE_SIDES if side <= min(frames.shape[1:3])] or [level(1)]
    about = {"picture": _data_uri(shown), "width": shown.shape[1], "height": shown.shape[0]}
    return Subject(kind, encode(frames), levels, about)


def _around(place: int, parts: int, size: int) -> slice:
    """The cell at this place and half a cell on both sides: overlapping areas make a smoother map."""
    cell = size / parts
    return slice(max(0, math.floor((place - 0.5) * cell)), min(size, math.ceil((place + 1.5) * cell)))


def _frames(steps: Steps, channels: int) -> np.ndarray:
    """(T, row, col, channels), uint8 where they were encoded, at most FRAMES of at most SIDE pixels."""
    import cv2

    picks = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), FRAMES)).round().astype(int))
    if isinstance(steps, np.ndarray):
        return steps[picks]
    frames = [decode_image(steps[pick], channels, SIDE) for pick in picks.tolist()]
    height, width = frames[0].shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(small).reshape(len(small), size[1], size[0], -1)


def _encoded(frames: np.ndarray) -> list[bytes]:
    return [_png(frame) for frame in frames]


def _png(picture: np.ndarray) -> bytes:
    import cv2

    codes = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    channels = picture.shape[2]
    turned = cv2.cvtColor(picture, codes[channels]) if channels in codes else picture[..., 0]
    return cv2.imencode(".png", turned, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _data_uri(picture: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(_png(picture)).decode()}"


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.nanmin(values), np.nanmax(values)
    return np.nan_to_num((values - low) / ((high - low) or 1))


# Texts and series


def _spans(length: int) -> list[list[tuple[int, int]]]:
    """Ways to cut a length into spans, from few to many."""
    counts = dict.fromkeys(min(length, count) for count in SPANS)
    cuts = [np.linspace(0, length, count + 1).round().astype(int).tolist() for count in counts]
    return [list(pairwise(cut)) for cut in cuts]


def _text(steps: np.ndarray, spec: Spec) -> Subject:
    read = steps[:MAX_TOKENS]
    words = [spec.vocabulary.get(index, str(index)) for index in read.ravel().astype(int).tolist()]
    glue = "" if single_characters(spec) else " "

    def level(spans: list[tuple[int, int]]) -> Level:
        def hidden(part: int) -> list[Steps]:
            return [np.delete(read, slice(*spans[part]), axis=0)]

        return Level((len(spans),), hidden, {"parts": [glue.join(words[start:end]) for start, end in spans]})

    return Subject("text", read, [level(spans) for spans in _spans(len(read))], {"glue": glue})


def _series(steps: np.ndarray) -> Subject:
    known = np.where(np.isfinite(steps), steps, np.nan)
    means = np.nan_to_num(np.nanmean(known, axis=0)) if np.isfinite(steps).any() else 0

    def level(spans: list[tuple[int, int]]) -> Level:
        def hidden(part: int) -> list[Steps]:
            flat = steps.copy()
            flat[slice(*spans[part])] = means
            return [flat]

        return Level((len(spans),), hidden, {"spans": [[start / len(steps), end / len(steps)] for start, end in spans]})

    picks = np.unique(np.linspace(0, max(0, len(steps) - 1), SHOWN_STEPS).astype(int))[: len(steps)]
    shown = np.asarray(known, np.float64).reshape(len(steps), math.prod(steps.shape[1:]))[picks].T
    lines = [[None if math.isnan(value) else value for value in channel] for channel in shown.tolist()]
    return Subject("series", steps, [level(spans) for spans in _spans(len(steps))], {"lines": lines})


# Sound


def _sound(examples: Examples) -> Subject:
    """Row 0 of the weights is the highest band, as in the picture of the sound."""
    steps = np.nan_to_num(np.asarray(examples.steps(0), np.float32))
    spectrum = np.fft.rfft(steps, axis=0)
    mels = 2595 * np.log10(1 + np.fft.rfftfreq(len(steps), 1 / RATE_HZ) / 700)

    def level(stretches: int, bands: int) -> Level:
        edges = np.linspace(0, mels[-1] + 1e-6, bands + 1)
        cuts = np.linspace(0, len(steps), stretches + 1).round().astype(int)

        @lru_cache(maxsize=bands)
        def of_band(band: int) -> np.ndarray:
            inside = (mels >= edges[band]) & (mels < edges[band + 1])
            alone = np.where(inside.reshape(-1, *[1] * (steps.ndim - 1)), spectrum, 0)
            return np.fft.irfft(alone, len(steps), axis=0).astype(np.float32)

        def hidden(part: int) -> list[Steps]:
            row, column = divmod(part, stretches)
            time_span = slice(cuts[column], cuts[column + 1])
            silenced = steps.copy()
            silenced[time_span] -= of_band(bands - 1 - row)[time_span]
            return [silenced]

        return Level((bands, stretches), hidden)

    frames = max(1, min(SPECTRUM_FRAMES, len(steps) * 100 // RATE_HZ))
    shown = mel_picture(examples, frames)[0][::-1]
    about = {"picture": _data_uri(np.ascontiguousarray(shown)), "width": 2 * frames, "height": 2 * len(shown)}
    return Subject("sound", steps, [level(*parts) for parts in SOUND_PARTS], about | {"seconds": len(steps) / RATE_HZ})


# Rows of a table


def _row(examples: Examples, columns: list[dict[str, Any]], others: Examples | None) -> Subject:
    """Parts are the table's own columns, also where one was turned into several numbers."""
    values = tabular_values(examples)[0]
    parts = _columns(columns, examples.spec, len(values))
    missing = 0 if examples.spec.format == "SPARSE" else np.nan
    rows = tabular_values(others) if others else np.full((1, len(values)), missing, np.float32)

    def level(draws: int) -> Level:
        picks = np.unique(np.linspace(0, len(rows) - 1, draws).astype(int))

        def hidden(part: int) -> list[Steps]:
            changed = np.repeat(values[None], len(picks), axis=0)
            changed[:, slice(*parts[part][1])] = rows[picks, slice(*parts[part][1])]
            return [_stored(row, examples.spec) for row in changed]

        return Level((len(parts),), hidden, {"parts": [name for name, _ in parts]})

    return Subject("row", _stored(values, examples.spec), [level(draws) for draws in DRAWS], {})


def _columns(columns: list[dict[str, Any]], spec: Spec, width: int) -> list[tuple[str, tuple[int, int]]]:
    """(name, place among the numbers) of each column; neighbours together where there are very many."""
    if columns:
        ends = np.cumsum([0, *(len(column["features"]) for column in columns)]).tolist()
        named = list(zip([column["name"] for column in columns], pairwise(ends), strict=True))
    else:
        names = {index: name for name, index in spec.feature_to_index.items()}
        named = [(names.get(at, f"column {at + 1}"), (at, at + 1)) for at in range(width)]
    if len(named) <= MOST_COLUMNS:
        return named
    cuts = pairwise(np.linspace(0, len(named), MOST_COLUMNS + 1).round().astype(int).tolist())
    together = [named[start:end] for start, end in cuts]
    return [(f"{some[0][0]} to {some[-1][0]}", (some[0][1][0], some[-1][1][1])) for some in together]


def _stored(values: np.ndarray, spec: Spec) -> np.ndarray:
    if spec.format == "SPARSE":
        given = np.flatnonzero(values)
        return np.stack([given, values[given]], axis=1).astype(np.float32)[..., None]
    return values.reshape(1, spec.row_count, spec.col_count, spec.num_channels)
