"""Video: ridge regression on still and motion features (see ``features/video.py``)."""

from __future__ import annotations

from automl_engine.models.shared.linear import FeatureLinear


class VideoLinear(FeatureLinear):
    name = "video_linear"
    feature = "motion"
