"""A ranking network on (meta-features, configuration) pairs, as in Zero-Shot AutoML (Öztürk et al., ICML 2022).

It learns from all pairs of rows on each known data set which of the two is better.  A pair counts as much as its rows
differ in ALC, since that is the regret of taking one for the other.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.mlp_samples import one_thread
from automl_engine.lab.meta.selectors.vectors import TARGETS, UNSCALED, Scale, best_first, filled

MEMBERS = 3
"""Networks whose scores are averaged."""


class PairwiseRanking(Selector):
    """A correction, by a network of one hidden layer, of how good each row is on average."""

    SPACE: ClassVar[dict[str, Any]] = {
        "width": [8, 16, 32, 64],
        "lr": {"log": [1e-3, 3e-2]},
        "decay": {"log": [1e-3, 1.0]},
        "steps": {"uniform": [50, 400]},
    }

    def __init__(self, seed: int = 0, width: int = 32, lr: float = 3e-3, decay: float = 0.1, steps: int = 100) -> None:
        super().__init__(seed)
        self.width, self.lr, self.decay, self.steps = width, lr, decay, steps
        self.scale = UNSCALED
        self.average: Any = None  # (C,) tensor
        self.networks: list[Any] = []

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        import torch

        self.scale = Scale(features)
        arrays = self.scale(features), TARGETS["alc"](filled(scores))
        points, values = (torch.from_numpy(array.astype(np.float32)) for array in arrays)
        values = values / values.std().clamp(min=1e-9)
        better = values[:, :, None] - values[:, None]  # (D, C, C)
        self.average = values.mean(0)
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.networks = [self._network(points.shape[1], values.shape[1]) for _ in range(MEMBERS)]
            for network in self.networks:
                optimiser = torch.optim.AdamW(network.parameters(), self.lr, weight_decay=self.decay)
                for _ in range(self.steps):
                    found = self._scores(network, points)
                    margins = (found[:, :, None] - found[:, None]) * better.sign()
                    loss = (better.abs() * torch.nn.functional.softplus(-margins)).mean()
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    optimiser.step()
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            point = torch.from_numpy(self.scale(features).astype(np.float32))[None]
            return best_first(sum(self._scores(network, point)[0].numpy() for network in self.networks))

    def _network(self, inputs: int, rows: int) -> Any:
        """Layers of which the first sees (features, one-hot row), split so that no pair is built."""
        from torch import nn

        out = nn.Linear(self.width, 1)
        nn.init.zeros_(out.weight)  # learning begins at the average
        return nn.ModuleList([nn.Linear(inputs, self.width), nn.Embedding(rows, self.width), out])

    def _scores(self, network: Any, points: Any) -> Any:
        """(N, F) -> (N, C)."""
        import torch

        of_features, of_rows, out = network
        hidden = torch.nn.functional.silu(of_features(points)[:, None] + of_rows.weight)  # (N, C, width)
        return self.average + out(hidden)[..., 0]
