"""Sound: extremely randomised trees on log-mel statistics."""

from __future__ import annotations

from typing import ClassVar

from automl_engine.models.tabular.forest import FeatureForest


class AudioForest(FeatureForest):
    """Params: ``segments`` (of time), and those of ``FeatureForest``."""

    name: ClassVar[str] = "audio_forest"
    feature: ClassVar[str] = "mel_statistics"
