"""Names that code of 2019 and 2020 expects, added to today's libraries in the process that runs it.

TensorFlow gets its old names back (``tf.logging``, ``dataset.make_one_shot_iterator``) and, for code with sessions, its
old behaviour; what TensorFlow itself has dropped (``tf.contrib``, ``tf.estimator``) stays missing.  torchvision is
imported also where its compiled half was made for another torch.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from automl_engine.models.challenge import submission
from automl_engine.models.shared.vision import torchvision

NUMPY_ALIASES = {"float": float, "int": int, "object": object, "complex": complex, "str": str, "float_": np.float64}
ITERATORS = ("make_one_shot_iterator", "make_initializable_iterator")
APART = {"compat", "keras", "estimator"}
"""Modules that are left as they are; looking into them would import them."""
PROPERTIES = ("output_shapes", "output_types", "output_classes")


def prepare(folder: Path) -> None:
    """Before the code in this folder is imported."""
    text = submission.source(folder)
    for name, alias in NUMPY_ALIASES.items():
        if name not in vars(np):
            setattr(np, name, alias)
    if "torchvision" in text:
        torchvision()
    _prepare_tensorflow(is_graph_code=submission.has_sessions(text))


def _prepare_tensorflow(is_graph_code: bool) -> None:
    import tensorflow as tf

    v1 = tf.compat.v1
    for name in ITERATORS:
        setattr(tf.data.Dataset, name, getattr(v1.data, name))
    for name in PROPERTIES:
        setattr(tf.data.Dataset, name, property(getattr(v1.data, f"get_{name}")))
    _fill(tf, v1, depth=2)
    if is_graph_code:
        v1.disable_v2_behavior()


def _fill(module: ModuleType, old: ModuleType, depth: int) -> None:
    """Names of the old module that the module lacks, and so on in the modules within."""
    for name in [name for name in dir(old) if not name.startswith("_") and name not in APART]:
        theirs = _found(old, name)
        ours = _found(module, name)
        if ours is None and theirs is not None:
            setattr(module, name, theirs)
        elif depth > 1 and isinstance(ours, ModuleType) and isinstance(theirs, ModuleType):
            _fill(ours, theirs, depth - 1)


def _found(module: ModuleType, name: str) -> Any:
    """None where it is missing, or loaded late from a package that is not installed."""
    try:
        return getattr(module, name, None)
    except ImportError:
        return None
