"""Code written for the AutoDL challenge, run as it is: a folder with ``model.py`` and its ``class Model(metadata)``.

It gets what the challenge's ingestion program gave: a tf.data dataset of (4-D float32 tensor, label vector), the same
object at every call, and a metadata object with the getters of the challenge's reader.  ``compat.py`` adds names that
its libraries have dropped.

The code runs in this process, which run/supervisor.py isolates where the kernel allows it (run/isolation.py).
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.models.base import AnytimeModel
from automl_engine.models.challenge import compat

if TYPE_CHECKING:
    import tensorflow as tf


class Metadata:
    """The getters of the challenge's ``AutoDLMetadata``, for the train split.

    Args:
        train_dir: ``NAME.data/train``; the name that the challenge's winners derive the test split's path from.
    """

    def __init__(self, spec: Spec, train_dir: str) -> None:
        self._spec, self._train_dir = spec, train_dir

    def get_dataset_name(self) -> str:
        return self._train_dir

    def size(self) -> int:
        return self._spec.sample_count

    def get_output_size(self) -> int:
        return self._spec.output_dim

    def get_sequence_size(self) -> int:
        return self._spec.sequence_size

    def get_bundle_size(self) -> int:
        return 1

    def get_matrix_size(self, bundle_index: int = 0) -> tuple[int, int]:
        return self._spec.row_count, self._spec.col_count

    def get_num_channels(self, bundle_index: int = 0) -> int:
        return self._spec.num_channels

    def get_tensor_size(self, bundle_index: int = 0) -> tuple[int, int, int]:
        return self._spec.row_count, self._spec.col_count, self._spec.num_channels

    def get_tensor_shape(self, bundle_index: int = 0) -> tuple[int, int, int, int]:
        return (self._spec.sequence_size, *self.get_tensor_size(bundle_index))

    def is_compressed(self, bundle_index: int = 0) -> bool:
        return self._spec.format == "COMPRESSED"

    def is_sparse(self, bundle_index: int = 0) -> bool:
        return self._spec.format == "SPARSE"

    def is_sequence(self) -> bool:
        return self._spec.is_sequence

    def get_label_to_index_map(self) -> dict[str, int]:
        return dict(self._spec.label_to_index)

    def get_channel_to_index_map(self) -> dict[str, int]:
        return dict(self._spec.channel_to_index)

    def get_feature_to_index_map(self) -> dict[str, int]:
        return dict(self._spec.feature_to_index)


class ChallengeModel(AnytimeModel):
    """Params: ``path`` (the folder with ``model.py``) and ``data_dir`` (``NAME.data``)."""

    name = "challenge"
    why = "code for the AutoDL challenge"

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        folder = Path(params["path"]).resolve()
        self._folder = folder
        compat.prepare(folder)  # imports TensorFlow, whose seconds belong before the clock
        module = _load_module(folder)
        self._model = module.Model(Metadata(spec, str(Path(params["data_dir"]) / "train")))
        self._datasets: dict[int, tf.data.Dataset] = {}

    @property
    def made_by(self) -> str:
        return self._folder.name

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self._model.train(self._dataset(split), remaining_time_budget=remaining_time_budget)
        self._look_if_done()

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray | None:
        prediction = self._model.test(self._dataset(split), remaining_time_budget=remaining_time_budget)
        self._look_if_done()
        return None if prediction is None else np.asarray(prediction)

    def _look_if_done(self) -> None:
        """A model without the attribute goes on until the budget ends or it predicts None."""
        self.done_training = bool(getattr(self._model, "done_training", False))

    def _dataset(self, split: Examples) -> tf.data.Dataset:
        if id(split) not in self._datasets:
            self._datasets[id(split)] = split.as_tf_dataset()
        return self._datasets[id(split)]


def _load_module(folder: Path) -> ModuleType:
    """``model.py`` under the name ``model``; its folder is searched first, since it imports its neighbours."""
    sys.path.insert(0, str(folder))
    found = importlib.util.spec_from_file_location("model", folder / "model.py")
    assert found is not None, folder
    assert found.loader is not None, folder
    module = importlib.util.module_from_spec(found)
    sys.modules["model"] = module
    found.loader.exec_module(module)
    return module
