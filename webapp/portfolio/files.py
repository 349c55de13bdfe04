"""Files that belong to a row: code of a challenge submission, weights of a pretrained network.

A row names its file by a path below ``folder()``; what leads elsewhere is refused, wherever it comes from.  Some models
know weights by a name, too: those that ship with the engine, or lie in ``AUTODL_WEIGHTS_DIR``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings

from webapp import store

FRESH_S = 60.0
"""What is imported under a name that was used before is seen after so long."""
PARAMETER = {
    "challenge": "path",
    "image_pretrained": "weights",
    "image_resnet": "weights",
    "audio_resnet": "weights",
    "series_trunk": "weights",
    "video_resnet": "weights",
}
"""Model -> the parameter that names a file or a folder."""
KNOW_NAMES = ("image_resnet", "audio_resnet", "series_trunk", "video_resnet")


def folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "portfolio"


def weights_name(model: str, params: dict[str, Any]) -> str:
    """The name by which the engine knows the weights of this row; empty if they are a file of ours or it has none."""
    key = "network" if model == "image_pretrained" and "weights" not in params else "weights"
    name = str(params.get(key, "")) if key == "network" or model in KNOW_NAMES else ""
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else ""


def located(model: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The parameters with the whole path of the file that they name; None if it is not one of ours."""
    key = PARAMETER.get(model, "")
    if key not in params or weights_name(model, params):
        return params if model != "challenge" else None
    path = (folder() / str(params[key])).resolve()
    if not path.is_relative_to(folder().resolve()) or path == folder().resolve():
        return None
    store.fetch(folder() / path.relative_to(folder().resolve()).parts[0], fresh_s=FRESH_S)
    return params | {key: str(path)}


def missing(model: str, params: dict[str, Any]) -> str:
    """What is wrong with the file that a row names, in one sentence; empty if nothing."""
    found = located(model, params)
    if found is None:
        return f"“{PARAMETER[model]}” must name what was imported here, as the import wrote it."
    key = PARAMETER.get(model, "")
    if key in params and not weights_name(model, params) and not Path(found[key]).exists():
        return f"“{key}: {params[key]}” is not there; import it first."
    return ""
