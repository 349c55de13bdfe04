"""Samples as the engine stores them: a record of a data set, found without reading the others (docs/formats.md)."""

from __future__ import annotations

import io
import wave
from array import array
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from automl_engine.dataset import records
from automl_engine.dataset.records import FOOTER_BYTES, HEADER_BYTES, FeatureList

LENGTH_BYTES = 8  # at the beginning of a header
RATE_HZ = 16_000
SOUND_S = 5
PICTURE_STARTS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def shown(autodl_dir: Path, split: str, index: int) -> tuple[bytes, str] | None:
    """What a browser can show of a sample, and its content type: its first picture, or the first seconds of a sound.

    None where there is no such record, or it holds something else.
    """
    data = record(autodl_dir, split, index)
    if data is None:
        return None
    picture = records.sole_image(data)
    steps: FeatureList = [[picture]] if picture is not None else next(iter(records.decode_lists(data).values()), [])
    if isinstance(steps, np.ndarray):
        return (_wav(steps[: SOUND_S * RATE_HZ, 0]), "audio/wav") if steps.shape[1] == 1 else None
    first = steps[0] if steps else []
    content = first[0] if isinstance(first, list) and first else b""
    kind = next((kind for start, kind in PICTURE_STARTS.items() if content.startswith(start)), None)
    return (content, kind) if kind else None


def record(autodl_dir: Path, split: str, index: int) -> bytes | None:
    """One sample as it is stored; None where there is no such record."""
    for path in sorted(autodl_dir.glob(f"*.data/{split}/*.tfrecord")):
        starts = _starts(path, path.stat().st_mtime_ns)
        if index < len(starts) - 1:
            with open(path, "rb") as file:
                file.seek(starts[index] + HEADER_BYTES)
                return file.read(starts[index + 1] - starts[index] - HEADER_BYTES - FOOTER_BYTES)
        index -= len(starts) - 1
    return None


@lru_cache(maxsize=16)
def _starts(path: Path, _mtime_ns: int) -> array[int]:
    """Where each record begins, and the end of the last; a gallery that is scrolled asks for them again and again."""
    starts, at = array("Q", [0]), 0
    if not path.stat().st_size:
        return starts
    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        while at + HEADER_BYTES <= len(content):
            at += HEADER_BYTES + int.from_bytes(content[at : at + LENGTH_BYTES], "little") + FOOTER_BYTES
            if at > len(content):  # cut off
                break
            starts.append(at)
    return starts


def _wav(amplitudes: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes(np.clip(amplitudes, -32768, 32767).astype("<i2").tobytes())
    return file.getvalue()
