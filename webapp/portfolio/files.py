"""Files that belong to a row: code of a challenge submission, weights of a pretrained network.

A row names its file by a path below ``folder()``; what leads elsewhere is refused, wherever it comes from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings

PARAMETER = {"challenge": "path", "image_pretrained": "weights"}
"""Model -> the parameter that names a file or a folder."""


def folder() -> Path:
    return Path(settings.MEDIA_ROOT) / "portfolio"


def located(model: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """The parameters with the whole path of the file that they name; None if it is not one of ours."""
    key = PARAMETER.get(model, "")
    if key not in params:
        return params if model != "challenge" else None
    path = (folder() / str(params[key])).resolve()
    if not path.is_relative_to(folder().resolve()) or path == folder().resolve():
        return None
    return params | {key: str(path)}


def missing(model: str, params: dict[str, Any]) -> str:
    """What is wrong with the file that a row names, in one sentence; empty if nothing."""
    found = located(model, params)
    if found is None:
        return f"“{PARAMETER[model]}” must name what was imported here, as the import wrote it."
    key = PARAMETER.get(model, "")
    if key in params and not Path(found[key]).exists():
        return f"“{key}: {params[key]}” is not there; import it first."
    return ""
