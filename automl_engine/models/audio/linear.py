"""Sound: a linear model on log-mel statistics."""

from __future__ import annotations

from typing import ClassVar

from automl_engine.models.shared.linear import FeatureLinear


class AudioLinear(FeatureLinear):
    """Params: ``segments`` (of time), ``head`` and ``l2`` as in FeatureLinear."""

    name: ClassVar[str] = "audio_linear"
    feature: ClassVar[str] = "mel_statistics"
