"""Freiburg, section 5.1, the second approach: a perceptron names the data set of each sample, majority vote.

Two layers with Swish, dropout and batch normalisation.  A new known data set means training anew, a few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from automl_engine.lab.meta.selectors.voting import VOTE_SPACE, SampleSelector

MOST_STEPS = 1500
"""Number of training steps, at most, however small the batches are."""


@contextmanager
def one_thread() -> Iterator[None]:
    """For matrices so small that threads wait for each other: measured .15 s of processor for 11 s on busy cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class MlpSamples(SampleSelector):
    """Trained by Adam at a falling rate; the paper also lists batches of 1, which have no variance to normalise by."""

    SPACE: ClassVar[dict[str, Any]] = {
        "batch": [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
        "width": [16, 32, 64, 128, 256, 512, 1024],
        "lr": {"log": [1e-5, 1e-2]},
        "dropout": {"uniform": [0.0, 0.8]},
        **VOTE_SPACE,
    }

    def __init__(
        self,
        seed: int = 0,
        batch: int = 64,
        width: int = 128,
        lr: float = 5e-3,
        dropout: float = 0.2,
        passes: int = 25,
        **how: Any,
    ) -> None:
        super().__init__(seed, **how)
        self.batch, self.width, self.lr, self.dropout, self.passes = batch, width, lr, dropout, passes
        self.sets = 0
        self.centre, self.unit = np.zeros(0), np.ones(0)  # (E,)
        self.network: Any = None

    def learn(self, known: np.ndarray) -> None:
        import torch
        from torch import nn

        sets, count, size = known.shape
        self.sets = sets
        self.centre, self.unit = known.mean((0, 1)), known.std((0, 1)) + 1e-9
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            layers: list[nn.Module] = []
            for inputs in (size, self.width):
                layers += [nn.Linear(inputs, self.width), nn.BatchNorm1d(self.width), nn.SiLU()]
                layers.append(nn.Dropout(self.dropout))
            self.network = nn.Sequential(*layers, nn.Linear(self.width, sets))
            labels = torch.arange(sets).repeat_interleave(count)
            self._train(torch.from_numpy(self._standard(known.reshape(-1, size))), labels)

    def _train(self, points: Any, labels: Any) -> None:
        import torch

        a_pass = max(1, len(points) // self.batch)
        steps = min(MOST_STEPS, self.passes * a_pass)
        optimiser = torch.optim.Adam(self.network.parameters(), self.lr)
        rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for step in range(steps):
            if step % a_pass == 0:
                order = torch.randperm(len(points))
            chosen = order[step % a_pass * self.batch :][: self.batch]
            loss = torch.nn.functional.cross_entropy(self.network(points[chosen]), labels[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            rates.step()
        self.network.eval().requires_grad_(False)

    def votes(self, samples: np.ndarray) -> np.ndarray:
        import torch

        with one_thread():
            named = self.network(torch.from_numpy(self._standard(samples))).argmax(1).numpy()
        return np.bincount(named, minlength=self.sets) / len(samples)

    def _standard(self, points: np.ndarray) -> np.ndarray:
        return ((points - self.centre) / self.unit).clip(-10, 10).astype(np.float32)
