"""Features by name: numpy only, no torch, so that the exported bundle computes the very same ones.

A feature is a function ``extract(examples, **params) -> array | tuple of arrays`` (one per input of the graph,
first axis = examples).  A new one: its file, and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

FEATURES: dict[str, str] = {
    "appearance": "automl_engine.features.image:appearance",
    "competing_convolutions": "automl_engine.features.timeseries:competing_convolutions",
    "frames": "automl_engine.features.video:frames",
    "interval_quantiles": "automl_engine.features.quantiles:interval_quantiles",
    "mel_picture": "automl_engine.features.audio:mel_picture",
    "mel_statistics": "automl_engine.features.audio:mel_statistics",
    "motion": "automl_engine.features.video:motion",
    "pixels": "automl_engine.features.image:pixels",
    "random_convolutions": "automl_engine.features.timeseries:random_convolutions",
    "same_length": "automl_engine.features.timeseries:same_length",
    "series_statistics": "automl_engine.features.timeseries:series_statistics",
    "stacked_frames": "automl_engine.features.video:stacked_frames",
    "tabular_basis": "automl_engine.features.tabular:tabular_basis",
    "tabular_values": "automl_engine.features.tabular:tabular_values",
    "text_ngrams": "automl_engine.features.text:text_ngrams",
    "text_tokens": "automl_engine.features.text:text_tokens",
    "word_means": "automl_engine.features.text:word_means",
}


def feature(name: str) -> Callable[..., Any]:
    """The function behind a name of ``FEATURES``."""
    if name not in FEATURES:
        raise ValueError(f"feature must be one of {sorted(FEATURES)} but got {name!r}")
    return resolve_name(FEATURES[name])
