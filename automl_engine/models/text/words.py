"""Ridge regression on the mean of word vectors that were made from free text: for few examples, of which n-grams alone
know too little about the words of new texts."""

from __future__ import annotations

from typing import Any, ClassVar

from safetensors.numpy import load_file

from automl_engine.dataset.examples import Examples
from automl_engine.models.configuration import WEIGHTS
from automl_engine.models.shared.linear import FeatureLinear
from automl_engine.models.shared.vision import describe_weights
from automl_engine.weights import find_weights


class TextWords(FeatureLinear):
    """Params: ``weights`` (of ``pretrain``: a name or a file); ``head`` and ``l2`` as in FeatureLinear."""

    name: ClassVar[str] = "text_words"
    feature: ClassVar[str] = "word_means"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """
        Raises:
            FileNotFoundError: this machine has no such vectors.
        """
        wanted = self.params.get("weights", WEIGHTS[self.name])
        file = find_weights(wanted)
        if file is None:
            raise FileNotFoundError(f"the word vectors {wanted} are not on this machine")
        self.arrays = load_file(file)
        super().train(split, remaining_time_budget)
        self.emit("note", text=f"{self.name} uses {describe_weights(file)}.")

    @property
    def feature_params(self) -> dict[str, Any]:
        return {}
