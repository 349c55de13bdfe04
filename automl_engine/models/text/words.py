"""Ridge regression on the mean of word vectors that were made from free text: for few examples, of which n-grams alone
know too little about the words of new texts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from safetensors.numpy import load_file

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.text import word_means
from automl_engine.models.shared.linear import FeatureLinear
from automl_engine.models.shared.vision import describe_weights, find_weights

WEIGHTS = "word_vectors_documentation"


class TextWords(FeatureLinear):
    """Params: ``weights`` (of ``pretrain``: a name or a file); ``head`` and ``l2`` as in FeatureLinear."""

    name: ClassVar[str] = "text_words"
    feature: ClassVar[str] = "word_means"

    arrays: dict[str, np.ndarray]

    @classmethod
    def available(cls, params: Mapping[str, Any]) -> bool:
        return find_weights(params.get("weights", WEIGHTS)) is not None

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """
        Raises:
            FileNotFoundError: this machine has no such vectors.
        """
        wanted = self.params.get("weights", WEIGHTS)
        file = find_weights(wanted)
        if file is None:
            raise FileNotFoundError(f"the word vectors {wanted} are not on this machine")
        self.arrays = load_file(file)
        super().train(split, remaining_time_budget)
        self.emit("note", text=f"{self.name} uses {describe_weights(file)}.")

    def inputs(self, split: Examples) -> np.ndarray:
        return word_means(split, **self.arrays)

    def save(self, dir: Path) -> None:
        super().save(dir)
        np.savez(dir / "words.npz", **self.arrays)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = super().load(dir, spec)
        with np.load(dir / "words.npz", allow_pickle=False) as saved:
            model.arrays = dict(saved)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        arrays = f"{self.name}.npz"
        np.savez(dir / arrays, **self.arrays)
        return [{**member, "params": {}, "arrays": arrays} for member in super().export(dir)]
