"""What a configuration of a model may hold, and what it needs.  No model is loaded: the site asks, too."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from automl_engine import weights
from automl_engine.errors import DataError
from automl_engine.models import MODELS, model_class

RUN = frozenset({"seed", "device"})
"""Parameters that every model has; a run sets them."""
HEAD = frozenset({"head", "l2"})
TRAINING = frozenset({"augment", "batch", "decay", "lr", "mixup", "optimiser", "slice_s"})
FOREST = frozenset({"looked_at", "min_leaf", "shrinkage", "trees"})
RESIDUAL = TRAINING | {"blocks", "dropout", "weights", "width"}
PARAMETERS: dict[str, frozenset[str]] = {
    "audio_linear": HEAD | {"segments"},
    "audio_resnet": RESIDUAL | {"frames"},
    "audio_thin_resnet34": TRAINING | {"frames", "width"},
    "challenge": frozenset({"path"}),
    "constant": frozenset(),
    "image_autoclint": frozenset(
        {"augment", "balanced", "batch", "flip", "lr", "pretrained", "slice_s", "switch", "tau", "warm_up", "width"}
    ),
    "image_baseline_linear": frozenset({"side"}),
    "image_cnn3d": frozenset({"side"}),
    "image_finetuned": frozenset({"l2", "lr", "network", "side", "weights"}),
    "image_inception_v3": frozenset({"side"}),
    "image_linear": HEAD | {"grid", "levels", "size"},
    "image_patches": frozenset({"filters", "patch", "side", "stride"}),
    "image_pretrained": HEAD | {"enlarge", "limit_s", "network", "sides", "weights"},
    "image_resnet": RESIDUAL | {"grow", "side"},
    "image_resnet50_v2": frozenset({"side"}),
    "series_boosting": frozenset(),
    "series_convolutions": HEAD | {"features"},
    "series_hydra": HEAD | {"features"},
    "series_quant": FOREST,
    "series_statistics": HEAD | {"points"},
    "series_trunk": HEAD | {"weights"},
    "tabular_catboost": frozenset(),
    "tabular_ensemble": frozenset(),
    "tabular_forest": FOREST,
    "tabular_lightgbm": frozenset(
        {"extra_trees", "feature_fraction", "lambda_l2", "learning_rate", "min_data_in_leaf", "num_leaves"}
    ),
    "tabular_linear": HEAD | {"ranges"},
    "tabular_network": frozenset(
        {"batch", "blocks", "decay", "dropout", "epochs", "lr", "networks", "ranges", "width"}
    ),
    "tabular_xgboost": frozenset(
        {"colsample_bynode", "eta", "max_depth", "min_child_weight", "reg_lambda", "subsample"}
    ),
    "text_linear": HEAD | {"sample"},
    "text_network": frozenset({"batch", "body", "dim", "dropout", "lr", "passes", "slice_s", "vectors", "width"}),
    "text_words": HEAD | {"weights"},
    "video_baseline_linear": frozenset({"frames", "side"}),
    "video_cnn3d": frozenset({"frames", "side"}),
    "video_frames": TRAINING | {"frames", "side"},
    "video_linear": HEAD | {"frames", "size"},
    "video_mc3": TRAINING | {"frames", "side", "width"},
    "video_pretrained": HEAD | {"frames", "limit_s", "network", "sides", "weights"},
    "video_resnet": RESIDUAL | {"frames", "side"},
}
"""The parameters of each model that a configuration may use; a test compares them with what the models read."""
TEXTS = frozenset({"network", "path", "vectors", "weights"})
FLAGS = frozenset({"balanced", "enlarge", "extra_trees", "flip", "pretrained"})
LISTS = frozenset({"sides", "trees"})
COUNTS = frozenset(
    {
        *("batch", "blocks", "dim", "epochs", "filters", "frames", "networks", "num_leaves", "passes", "patch"),
        *("segments", "side", "size", "stride", "width"),
    }
)
CHOICES: dict[str, tuple[str, ...]] = {
    "augment": ("shift", "faa"),
    "body": ("cnn", "rcnn", "gru", "gru_attention"),
    "head": ("ridge", "logistic"),
    "optimiser": ("sgd", "adam"),
}
TEXT_HEADS = ("logistic", "nb_logistic", "naive_bayes", "svm")
"""Those of ``text_linear``.  A parameter that is in none of these is a number."""
LARGEST = 1e300
"""Above it a calculation soon gives infinity."""
WEIGHTS = {
    "image_finetuned": "mobilenet_v2_035",
    "image_pretrained": "mobilenet_v2_035",
    "series_trunk": "series_small_dynamics",
    "text_words": "word_vectors_documentation",
    "video_pretrained": "efficientnet_lite0",
}
"""Models that are nothing without weights, and those that they start from by default: a network or a file."""
STEPWISE = frozenset(
    {
        *("audio_resnet", "audio_thin_resnet34", "image_autoclint", "image_baseline_linear", "image_cnn3d"),
        *("image_finetuned", "image_inception_v3", "image_resnet", "image_resnet50_v2", "text_network"),
        *("video_baseline_linear", "video_cnn3d", "video_frames", "video_mc3", "video_resnet"),
    }
)
"""Networks that learn slice by slice; others are cheap to refit.  A test compares this and the next with the models."""
LIBRARY: dict[str, str] = {
    **dict.fromkeys(STEPWISE, "torch"),
    **dict.fromkeys(("image_patches", "image_pretrained", "video_pretrained"), "torch"),
    **dict.fromkeys(("series_trunk", "tabular_network", "text_words"), "torch"),
    **dict.fromkeys(("series_boosting", "tabular_lightgbm"), "lightgbm"),
    "tabular_catboost": "catboost",
    "tabular_xgboost": "xgboost",
}
"""What a model imports that takes half a second and more."""
BASELINES = {"tabular_catboost": "catboost"}
"""Packages of models that auto doesn't use, which ``requirements.txt`` therefore leaves out."""
GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""One of them is there where a graphics processor may be."""
ALONE = ("challenge",)
"""Foreign code was written to learn alone: auto would slice, copy and save it."""


def check(model: str, params: Mapping[str, Any], searched: Iterable[str] = ()) -> None:
    """``searched``: names of further parameters, whose values a search tries.

    Raises:
        DataError: there is no such model, or it has no such parameter, or a value is of the wrong kind.
    """
    if model not in MODELS:
        raise DataError(f"The model must be one of {', '.join(PARAMETERS)}; but got {model!r}.")
    if model not in PARAMETERS:  # one of a test
        return
    known = PARAMETERS[model]
    if unknown := sorted(map(str, {*params, *searched} - known - RUN)):
        names = f"parameter{'s' * (len(unknown) > 1)} {', '.join(unknown)}"
        choices = f"use {', '.join(sorted(known))}" if known else "it has none"
        raise DataError(f"The model {model} does not know the {names}; {choices}.")
    for name, value in params.items():
        if wanted := _wanted(model, name, value):
            raise DataError(f"The parameter {name} of the model {model} must be {wanted}; but got {value!r}.")


def _wanted(model: str, name: str, value: Any) -> str:
    """What a value must be; empty if it is."""
    if name in TEXTS or name == "device":
        return "" if isinstance(value, str) else "a name"
    if name in FLAGS:
        return "" if isinstance(value, bool) else "true or false"
    if name in LISTS:
        fits = isinstance(value, list) and value and all(_is_number(one) and one > 0 for one in value)
        return "" if fits else "a list of numbers above 0"
    if name in CHOICES:
        choices = TEXT_HEADS if (model, name) == ("text_linear", "head") else CHOICES[name]
        return "" if value in choices else f"one of {', '.join(choices)}"
    if name in COUNTS:
        return "" if _is_number(value) and value >= 1 and value == int(value) else "a whole number of at least 1"
    if name == "switch" and value is None:  # never
        return ""
    return "" if _is_number(value) and value >= 0 else "a number of at least 0"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def missing(model: str, params: Mapping[str, Any]) -> str:
    """What this machine lacks for a configuration; empty if nothing."""
    if model == "text_network" and "vectors" in params:
        there = weights.vectors_path(str(params["vectors"])).is_file()
        return "" if there else f"the word vectors {params['vectors']} in the folder AUTODL_WEIGHTS_DIR"
    if model not in WEIGHTS:
        return missing_package(model)
    name = str(params.get("weights") or params.get("network") or WEIGHTS[model])
    find = weights.known_weights if name in weights.NETWORKS else weights.find_weights
    if find(name):
        return ""
    choice = weights.allowed()
    return f"the weights of {Path(name).stem}" + ("" if choice == "all" else f", but AUTODL_PRETRAINED is {choice}")


def missing_package(model: str) -> str:
    """What cannot be replaced, as weights can by random ones; empty if nothing."""
    package = BASELINES.get(model)
    if package is None or find_spec(package):
        return ""
    return f"the package {package}: python -m pip install -r requirements-baselines.txt"


def obstacle(model: str, params: Mapping[str, Any]) -> str:
    """Why auto may not try this configuration on this machine; empty if it may."""
    if model in ALONE:
        return "it is foreign code, which learns alone"
    lacks = missing(model, params)
    return f"it needs {lacks}" if lacks else ""


def can_join(model: str, params: Mapping[str, Any]) -> bool:
    """Whether auto may try this configuration on this machine."""
    return not obstacle(model, params)


def refits(model: str) -> bool:
    """Whether it is cheap to refit: ``AnytimeModel.refits``."""
    return model not in STEPWISE if model in PARAMETERS else model_class(model).refits  # else one of a test


def is_quick(model: str, device: str = "auto") -> bool:
    """Whether its libraries are loaded, or take less than half a second.

    All must be where there may be a graphics processor: torch alone tells, and starting it takes seconds, too.
    """
    may_have_gpu = device not in ("auto", "cpu") or (device == "auto" and any(Path(p).exists() for p in GPU_FILES))
    return may_have_gpu or LIBRARY.get(model, "sys") in sys.modules
