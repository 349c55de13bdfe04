"""Additive model of a table: piecewise linear curves of numbers, categories, and logistic regression on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.tabular import fit_basis, tabular_basis, tabular_values
from automl_engine.models.shared.linear import FeatureLinear

SAMPLE = 20_000


class TabularLinear(FeatureLinear):
    """Params: ``ranges``, into how many a number column is cut; ``head`` and ``l2`` as in FeatureLinear; ``seed``."""

    name: ClassVar[str] = "tabular_linear"
    feature: ClassVar[str] = "tabular_basis"

    basis: dict[str, np.ndarray]

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        if len(split) > SAMPLE:
            chosen = np.random.default_rng(self.params.get("seed", 0)).permutation(len(split))[:SAMPLE]
            split = split.subset(np.sort(chosen))
        self.basis = fit_basis(tabular_values(split), self.params.get("ranges", 6))
        super().train(split, remaining_time_budget)

    def inputs(self, split: Examples) -> np.ndarray:
        return tabular_basis(split, **self.basis)

    def save(self, dir: Path) -> None:
        super().save(dir)
        np.savez(dir / "basis.npz", **self.basis)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = super().load(dir, spec)
        with np.load(dir / "basis.npz", allow_pickle=False) as saved:
            model.basis = dict(saved)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        arrays = f"{self.name}.npz"
        np.savez(dir / arrays, **self.basis)
        return [{**member, "params": {}, "arrays": arrays} for member in super().export(dir)]
