"""torchvision, also where its compiled half was made for another torch, and weights that are on this machine already.

A torchvision for CUDA beside a torch for the CPU fails at import, on two operators that it describes but never
defined.  Declaring them first makes its networks work; only its compiled operators are missing, and we use none.
"""

from __future__ import annotations

import importlib
import logging
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from safetensors.torch import load_file

from automl_engine import weights

_LIBRARIES: list[torch.library.Library] = []  # declarations live as long as these objects


@cache
def torchvision(part: str = "models") -> ModuleType:
    """``torchvision.<part>``, imported late and however it was built."""
    try:
        return importlib.import_module(f"torchvision.{part}")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    logging.getLogger(__name__).info("torchvision's compiled operators do not fit this torch; they are left out.")
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES.append(library)
    return importlib.import_module(f"torchvision.{part}")


@cache
def load_weights(file: Path) -> dict[str, torch.Tensor]:
    """The state dict in a safetensors or pth file, on the processor; read once, so not to be changed."""
    if file.suffix == ".pth":
        return torch.load(file, map_location="cpu", weights_only=True)
    return load_file(file)


def local_weights(name: str) -> dict[str, torch.Tensor] | None:
    """The state dict in the file that ``find_weights`` finds, or None."""
    file = weights.find_weights(name)
    return load_weights(file) if file else None


def describe_weights(file: Path | None, wanted: str = "") -> str:
    """What a row says of its weights: "NAME uses" goes before it.

    Args:
        wanted: what is told to be missing where there is no file, such as "ResNet-18 (ImageNet)".
    """
    if file is None:
        allowed = weights.allowed()
        missing = f"those of {wanted} are not on this machine" if wanted else "none were found"
        return f"random weights: {missing if allowed == 'all' else f'AUTODL_PRETRAINED is {allowed}'}"
    card = weights.card(file)
    if weights.is_own(file):
        made = f" ({card['formula']}; {card['examples'] / 1e6:.1f} M examples)" if card else ""
        return f"weights of our own: {file.stem}{made}"
    if "package" in card:
        return f"the weights of {card['package']} ({card['source']}; {card['licence']})"
    return f"the weights of {file.stem}"
