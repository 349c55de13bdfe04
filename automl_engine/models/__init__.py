"""Models by name.  A new one: its file, and one line here.  Nothing is imported until it is asked for."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automl_engine.models.base import AnytimeModel

MODELS: dict[str, str] = {
    "audio_linear": "automl_engine.models.audio.linear:AudioLinear",
    "audio_resnet": "automl_engine.models.audio.resnet:AudioResnet",
    "audio_thin_resnet34": "automl_engine.models.challenge.audio_thin_resnet34:AudioThinResnet34",
    "auto": "automl_engine.auto.loop:AutoModel",
    "challenge": "automl_engine.models.challenge.wrapper:ChallengeModel",
    "constant": "automl_engine.models.challenge.constant:ConstantModel",
    "image_autoclint": "automl_engine.models.challenge.image_autoclint:ImageAutoclint",
    "image_baseline_linear": "automl_engine.models.challenge.baselines:ImageBaselineLinear",
    "image_cnn3d": "automl_engine.models.challenge.baselines:ImageCnn3d",
    "image_finetuned": "automl_engine.models.image.finetune:ImageFinetuned",
    "image_inception_v3": "automl_engine.models.challenge.baselines:ImageInceptionV3",
    "image_linear": "automl_engine.models.image.linear:ImageLinear",
    "image_patches": "automl_engine.models.image.patches:ImagePatches",
    "image_pretrained": "automl_engine.models.image.pretrained:ImagePretrained",
    "image_resnet": "automl_engine.models.image.resnet:ImageResnet",
    "image_resnet50_v2": "automl_engine.models.challenge.baselines:ImageResnet50V2",
    "series_boosting": "automl_engine.models.timeseries.boosting:SeriesBoosting",
    "series_convolutions": "automl_engine.models.timeseries.linear:SeriesConvolutions",
    "series_hydra": "automl_engine.models.timeseries.linear:SeriesHydra",
    "series_quant": "automl_engine.models.timeseries.quant:SeriesQuant",
    "series_statistics": "automl_engine.models.timeseries.linear:SeriesStatistics",
    "series_trunk": "automl_engine.models.timeseries.backbone:SeriesBackbone",
    "tabular_catboost": "automl_engine.models.tabular.catboost:TabularCatBoost",
    "tabular_ensemble": "automl_engine.models.tabular.ensemble:TabularEnsemble",
    "tabular_forest": "automl_engine.models.tabular.forest:TabularForest",
    "tabular_lightgbm": "automl_engine.models.tabular.lightgbm:TabularLightGBM",
    "tabular_linear": "automl_engine.models.tabular.linear:TabularLinear",
    "tabular_network": "automl_engine.models.tabular.network:TabularNetwork",
    "tabular_xgboost": "automl_engine.models.tabular.xgboost:TabularXGBoost",
    "text_linear": "automl_engine.models.text.linear:TextLinear",
    "text_network": "automl_engine.models.text.network:TextNetwork",
    "text_words": "automl_engine.models.text.words:TextWords",
    "video_baseline_linear": "automl_engine.models.challenge.baselines:VideoBaselineLinear",
    "video_cnn3d": "automl_engine.models.challenge.baselines:VideoCnn3d",
    "video_frames": "automl_engine.models.video.frames:VideoFrames",
    "video_linear": "automl_engine.models.video.linear:VideoLinear",
    "video_mc3": "automl_engine.models.video.mc3:VideoMc3",
    "video_pretrained": "automl_engine.models.video.pretrained:VideoPretrained",
    "video_resnet": "automl_engine.models.video.resnet:VideoResnet",
}


def model_class(name: str) -> type[AnytimeModel]:
    """The class behind a name of ``MODELS``."""
    if name not in MODELS:
        raise ValueError(f"model must be one of {sorted(MODELS)} but got {name!r}")
    return resolve_name(MODELS[name])
