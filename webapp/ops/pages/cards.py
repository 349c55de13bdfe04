"""What a starter card shows of its data set: a few samples of different classes, from the previews."""

from __future__ import annotations

import json
import wave
from itertools import islice
from typing import Any

import numpy as np

from webapp.datasets.models import Dataset
from webapp.datasets.report import sparklines

SHOWN = {"image": 8, "video": 4, "series": 3, "audio": 4, "text": 2, "row": 1}
LOOKED_AT = 60  # lines of the preview file


def samples(dataset: Dataset) -> list[dict[str, Any]]:
    """The first samples of each class in turn, ready for the template; empty until the data set is ready."""
    path = dataset.files("previews/test.jsonl") / "previews" / "test.jsonl"
    if dataset.state != Dataset.State.READY or not path.exists():
        return []
    with open(path, encoding="utf-8") as file:
        found = [json.loads(line) for line in islice(file, LOOKED_AT)]
    seen: dict[str, int] = {}
    for sample in found:
        label = " ".join(sample["labels"])
        sample["turn"] = seen[label] = seen.get(label, -1) + 1
    found.sort(key=lambda sample: sample["turn"])
    chosen = found[: SHOWN.get(found[0]["kind"], 1)] if found else []
    return [_ready(dataset, sample) for sample in chosen]


def _ready(dataset: Dataset, sample: dict[str, Any]) -> dict[str, Any]:
    if sample["kind"] == "series":
        sample["lines"] = sparklines(sample["series"][:1])
    elif sample["kind"] == "audio":
        sample["lines"] = sparklines([_loudness(dataset, sample["file"])])
    elif sample["kind"] == "row":
        sample["cells"] = list(sample["row"].items())[:4]
    if "file" in sample:
        sample["file"] = sample["file"].rsplit("/", 1)[-1]
    return sample


def _loudness(dataset: Dataset, file: str, bins: int = 50) -> list[float | None]:
    """The outline of a sound: its extremes in each of ``bins`` parts, alternating up and down."""
    name = f"previews/{file.rsplit('/', 1)[-1]}"
    with wave.open(str(dataset.files(name) / name)) as sound:
        if sound.getsampwidth() != 2:
            return []
        values = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)[:: sound.getnchannels()]
    parts = [part for part in np.array_split(values, bins) if part.size]
    return [float(value) for part in parts for value in (part.max(), part.min())]
