"""Which of the six modalities a data set has, and why; ``Spec.domain`` leaves audio and time series together."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec

LOOKED_AT = 5
SHORTEST_SOUND = 1500
"""Number of steps from which a series is sound: 0.1 s at the challenge's 16 kHz."""


def modality(examples: Examples) -> tuple[str, str]:
    """(modality, reason in plain words)."""
    spec = examples.spec
    if spec.domain == "series":
        return _series(examples)
    shape = f"{spec.row_count} × {spec.col_count}" if spec.row_count > 0 else "any size"
    reasons = {
        "image": f"each example is one image of {shape} in {'grey' if spec.num_channels == 1 else 'colour'}",
        "video": f"each example is a sequence of pictures of {shape}",
        "text": f"each example is a sequence of words from a vocabulary of {len(spec.channel_to_index)}",
        "tabular": f"each example is one row of {max(spec.row_count, spec.col_count)} cells",
    }
    return spec.domain, reasons[spec.domain]


def likely(spec: Spec) -> str:
    """The modality as far as the metadata tell: one channel of unknown or great length is taken for sound."""
    if spec.domain != "series":
        return spec.domain
    is_short = 0 < spec.sequence_size <= SHORTEST_SOUND
    return "timeseries" if spec.num_channels > 1 or is_short else "audio"


def _series(examples: Examples) -> tuple[str, str]:
    if examples.spec.num_channels > 1 or examples.spec.col_count > 1:
        return "timeseries", f"each example is a series of {examples.spec.num_channels} channels"
    picks = np.linspace(0, len(examples) - 1, min(LOOKED_AT, len(examples))).astype(int)
    series = [examples.tensor(int(i)).ravel() for i in picks]
    length = int(np.median([len(s) for s in series]))
    whole = all(np.array_equal(s, np.rint(s)) for s in series)
    loudest = max(float(np.abs(s).max(initial=0)) for s in series)
    if whole and length > SHORTEST_SOUND and loudest > 100:
        return "audio", f"one channel of about {length} whole numbers up to {loudest:g}: sound amplitudes"
    return "timeseries", f"one channel of about {length} measured values"
