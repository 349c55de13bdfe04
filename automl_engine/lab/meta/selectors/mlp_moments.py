"""Freiburg, section 5.1, the third approach: a perceptron names the data set of a whole batch, from its moments.

The layer before the perceptron calculates moments over the batch (``MOMENTS`` and a quantile of features.py), so that
one vector stands for the batch.  It learns from random batches of the known sets; a new one means training anew.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from automl_engine.lab.meta.features import moments
from automl_engine.lab.meta.selectors.mlp_samples import MlpSamples, one_thread

DRAWN = 24
"""Batches of each known data set that it learns from."""


class MlpMoments(MlpSamples):
    """``count`` samples a batch; ``batch`` of such batches a step; ``quantile`` in [0, 0.4]."""

    SPACE: ClassVar[dict[str, Any]] = MlpSamples.SPACE | {
        "count": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
        "quantile": {"uniform": [0.0, 0.4]},
        "use": [
            ["mean"],
            ["mean", "std"],
            ["median", "std"],
            ["mean", "std", "skewness", "kurtosis"],
            ["mean", "median", "std", "variance", "skewness", "kurtosis"],
        ],
    }

    def __init__(
        self,
        seed: int = 0,
        count: int = 64,
        use: tuple[str, ...] = ("mean", "std", "skewness", "kurtosis"),
        quantile: float = 0.1,
        **perceptron: Any,
    ) -> None:
        super().__init__(seed, **perceptron)
        self.count, self.names = count, (*use, f"q{round(100 * quantile):02d}")

    def learn(self, known: np.ndarray) -> None:
        generator = np.random.default_rng(self.seed)
        places = generator.integers(known.shape[1], size=(len(known), DRAWN, self.count))
        drawn = [[moments(batch[some], self.names) for some in own] for batch, own in zip(known, places, strict=True)]
        super().learn(np.array(drawn, np.float32))  # (D, DRAWN, moments * E)

    def votes(self, samples: np.ndarray) -> np.ndarray:
        import torch

        with one_thread():
            point = self._standard(moments(samples, self.names)[None])
            return self.network(torch.from_numpy(point)).softmax(1)[0].double().numpy()
