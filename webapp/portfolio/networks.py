"""The networks of the engine that can start from weights in a file, with the tensors and shapes that they need.

Written down here since the web process never loads torch; a test compares this with the engine's own networks.
"""

from __future__ import annotations

from typing import Any

from webapp.engine import DataError

Shape = tuple[int, ...]
Shapes = dict[str, Shape]

LAST_LAYER = "features.18.0.weight"
MOBILENETS = {(1280, 320, 1, 1): ("mobilenet_v2", 1.0), (1280, 112, 1, 1): ("mobilenet_v2_035", 0.35)}
"""Networks of ``image_pretrained`` by the shape of ``LAST_LAYER``: name and width."""
RESIDUALS = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""Stages of MobileNetV2 (Sandler et al., CVPR 2018, table 2): expansion, channels, number of blocks."""
CLASSIFIER, COUNTER = "classifier.", ".num_batches_tracked"
"""Tensors that are ignored, and tensors that an old file may lack."""
STEM = "small.weight"
SERIES_STEM = "stem.weight"
BACKBONES = {3: ("image", "image_resnet"), 1: ("audio", "audio_resnet")}
"""Who learns on top of what ``automl_engine pretrain`` made, by the channels of ``STEM``: modality and model."""


def learner_of(shapes: Shapes) -> tuple[str, str, dict[str, Any]]:
    """(modality, model, parameters) of the row that can begin with tensors of these names and shapes.

    Raises:
        DataError: the engine has no such network, or a tensor does not fit into it.
    """
    if STEM in shapes:
        return _learner_of_backbone(shapes)
    if SERIES_STEM in shapes:
        _check(shapes, series_backbone(), "series_small of “automl_engine pretrain”")
        return "timeseries", "series_trunk", {}
    shape = shapes.get(LAST_LAYER, ())
    if shape not in MOBILENETS:
        raise DataError(
            f"The weights must be of {' or '.join(name for name, _ in MOBILENETS.values())} as torchvision names them "
            f"(“{LAST_LAYER}” {f'has the shape {shape}' if shape else 'is missing'}), or a network of “automl_engine "
            f"pretrain” (“{STEM}” and “{SERIES_STEM}” are missing); choose another file."
        )
    name, width = MOBILENETS[shape]
    expected = mobilenet_v2(width)
    body = {key: shape for key, shape in shapes.items() if not key.startswith(CLASSIFIER)}
    counters = {key: shape for key, shape in expected.items() if key.endswith(COUNTER)}
    _check(counters | body, expected, f"{name} of torchvision")
    return "image", "image_pretrained", {"network": name}


def _learner_of_backbone(shapes: Shapes) -> tuple[str, str, dict[str, Any]]:
    width, channels, *_ = (*shapes[STEM], 0, 0)
    if not width or channels not in BACKBONES:
        raise DataError(f"“{STEM}” has the shape {shapes[STEM]}; it must be (width, 3 or 1 channels, 3, 3).")
    _check(shapes, backbone(width, channels), f"network of {width} channels of “automl_engine pretrain”")
    return (*BACKBONES[channels], {"width": width})


def _check(found: Shapes, expected: Shapes, network: str) -> None:
    wrong = [key for key in expected | found if expected.get(key) != found.get(key)]
    if wrong:
        more = f" ({len(wrong) - 1} more of the tensors do not fit)" if len(wrong) > 1 else ""
        raise DataError(
            f"The tensors do not fit {network}: “{wrong[0][:80]}” has the shape {found.get(wrong[0], '“missing”')} "
            f"instead of {expected.get(wrong[0], '“missing”')}{more}."
        )


def backbone(width: int, channels: int) -> Shapes:
    """``models.shared.residual.Stems``: two stems, three blocks that each double the channels, a last normalisation."""
    found: Shapes = {STEM: (width, channels, 3, 3), "large.weight": (width, channels, 5, 5)}
    for block, inputs in enumerate((width, 2 * width, 4 * width), 1):
        found |= _block(f"body.{block}", inputs, 2 * inputs, (3, 3))
    return found | _norm("body.4", 8 * width)


def series_backbone() -> Shapes:
    """``models.timeseries.backbone.SeriesStages`` of one channel."""
    found: Shapes = {SERIES_STEM: (32, 1, 1, 7)}
    for block, (inputs, outputs) in enumerate(((32, 64), (64, 128), (128, 128))):
        found |= _block(f"blocks.{block}", inputs, outputs, (1, 5)) | _norm(f"norms.{block}", outputs)
    return found


def _block(name: str, inputs: int, outputs: int, kernel: Shape) -> Shapes:
    """``models.shared.residual.Block``; one that keeps its channels has no filters beside the way."""
    found: Shapes = {
        f"{name}.conv1.weight": (outputs, inputs, *kernel),
        f"{name}.conv2.weight": (outputs, outputs, *kernel),
        **_norm(f"{name}.norm1", inputs),
        **_norm(f"{name}.norm2", outputs),
    }
    return found | ({f"{name}.shortcut.weight": (outputs, inputs, 1, 1)} if inputs != outputs else {})


def mobilenet_v2(width: float) -> Shapes:
    """torchvision's, without its classifier."""
    inputs = _channels(32 * width)
    found = _layer("features.0.0", "features.0.1", (inputs, 3, 3, 3))
    residuals = [(expansion, channels) for expansion, channels, count in RESIDUALS for _ in range(count)]
    for i, (expansion, channels) in enumerate(residuals, 1):
        hidden, outputs, name, at = expansion * inputs, _channels(channels * width), f"features.{i}.conv", 0
        if expansion > 1:
            found |= _layer(f"{name}.0.0", f"{name}.0.1", (hidden, inputs, 1, 1))
            at = 1
        found |= _layer(f"{name}.{at}.0", f"{name}.{at}.1", (hidden, 1, 3, 3))
        found |= _layer(f"{name}.{at + 1}", f"{name}.{at + 2}", (outputs, hidden, 1, 1))
        inputs = outputs
    return found | _layer("features.18.0", "features.18.1", (1280, inputs, 1, 1))


def _channels(wanted: float) -> int:
    """The nearest multiple of 8, but not under nine tenths of what is wanted."""
    near = max(8, int(wanted + 4) // 8 * 8)
    return near + 8 if near < 0.9 * wanted else near


def _layer(filters: str, norm: str, shape: Shape) -> Shapes:
    return {f"{filters}.weight": shape} | _norm(norm, shape[0])


def _norm(name: str, channels: int) -> Shapes:
    """Batch normalisation."""
    vectors: Shapes = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{name}{COUNTER}": ()}
