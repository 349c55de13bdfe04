"""The residual network of ``image/resnet.py`` on frames and their differences stacked as channels."""

from __future__ import annotations

from typing import Any

from automl_engine.dataset.examples import Examples
from automl_engine.models.image.resnet import ImageResnet


class VideoResnet(ImageResnet):
    """Params: those of ``ImageResnet``, and ``frames``."""

    name = "video_resnet"
    feature = "stacked_frames"

    def choose_feature_params(self, split: Examples) -> dict[str, Any]:
        return {"size": self.params.get("side", 48), "frames": self.params.get("frames", 6)}
