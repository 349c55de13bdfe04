"""Video: extremely randomised trees on still and motion features (see ``features/video.py``)."""

from __future__ import annotations

from typing import ClassVar

from automl_engine.models.tabular.forest import FeatureForest


class VideoForest(FeatureForest):
    name: ClassVar[str] = "video_forest"
    feature: ClassVar[str] = "motion"
