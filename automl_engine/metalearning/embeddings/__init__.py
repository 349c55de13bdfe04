"""Embeddings: samples of a data set as points, in a space that all data sets of a modality share.

A space is a module with ``NAMES`` (E,), what its coordinates are, and ``embed(examples) -> (n, E)`` float32, finite.
Those named after a modality are cheap, in numpy, and the same on every machine: what the tables are made of.  A new
one: its file, and one line here.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

HERE = "automl_engine.metalearning.embeddings"
EMBEDDINGS: dict[str, str] = {
    "image": f"{HERE}.image",
    "video": f"{HERE}.video",
    "audio": f"{HERE}.audio",
    "text": f"{HERE}.text",
    "tabular": f"{HERE}.tabular",
    "timeseries": f"{HERE}.timeseries",
    "resnet18": f"{HERE}.resnet18",
    "text_ngrams": f"{HERE}.text_ngrams",
    "vae": "automl_engine.metalearning.vae",
}


def embedding(name: str) -> ModuleType:
    """The module behind a name of ``EMBEDDINGS``."""
    if name not in EMBEDDINGS:
        raise ValueError(f"embedding must be one of {sorted(EMBEDDINGS)} but got {name!r}")
    return import_module(EMBEDDINGS[name])
