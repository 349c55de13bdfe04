"""Models by name.  A new one: its file, and one line here.  Nothing is imported until it is asked for."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_engine.models.base import AnytimeModel

MODELS: dict[str, str] = {
    "audio_linear": "automl_engine.models.audio_linear:AudioLinear",
    "audio_resnet": "automl_engine.models.audio_resnet:AudioResnet",
    "audio_thin_resnet34": "automl_engine.models.audio_thin_resnet34:AudioThinResnet34",
    "auto": "automl_engine.auto.loop:AutoModel",
    "challenge": "automl_engine.models.challenge:ChallengeModel",
    "constant": "automl_engine.models.constant:ConstantModel",
    "image_autoclint": "automl_engine.models.image_autoclint:ImageAutoclint",
    "image_linear": "automl_engine.models.image_linear:ImageLinear",
    "image_patches": "automl_engine.models.image_patches:ImagePatches",
    "image_pretrained": "automl_engine.models.image_pretrained:ImagePretrained",
    "image_resnet": "automl_engine.models.image_resnet:ImageResnet",
    "series_boosting": "automl_engine.models.series_boosting:SeriesBoosting",
    "series_convolutions": "automl_engine.models.series_linear:SeriesConvolutions",
    "series_hydra": "automl_engine.models.series_linear:SeriesHydra",
    "series_statistics": "automl_engine.models.series_linear:SeriesStatistics",
    "series_trunk": "automl_engine.models.series_trunk:SeriesTrunk",
    "tabular_ensemble": "automl_engine.models.tabular_ensemble:TabularEnsemble",
    "tabular_forest": "automl_engine.models.tabular_forest:TabularForest",
    "tabular_lightgbm": "automl_engine.models.tabular_lightgbm:TabularLightGBM",
    "tabular_linear": "automl_engine.models.tabular_linear:TabularLinear",
    "tabular_network": "automl_engine.models.tabular_network:TabularNetwork",
    "tabular_xgboost": "automl_engine.models.tabular_xgboost:TabularXGBoost",
    "text_linear": "automl_engine.models.text_linear:TextLinear",
    "text_network": "automl_engine.models.text_network:TextNetwork",
    "text_words": "automl_engine.models.text_words:TextWords",
    "video_frames": "automl_engine.models.video_frames:VideoFrames",
    "video_linear": "automl_engine.models.video_linear:VideoLinear",
    "video_mc3": "automl_engine.models.video_mc3:VideoMc3",
    "video_resnet": "automl_engine.models.video_resnet:VideoResnet",
}


def model_class(name: str) -> type[AnytimeModel]:
    """The class behind a name of ``MODELS``."""
    if name not in MODELS:
        raise ValueError(f"model must be one of {sorted(MODELS)} but got {name!r}")
    return resolve_name(MODELS[name])
