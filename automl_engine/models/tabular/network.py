"""Residual networks on piecewise linear columns: smooth where trees have steps.

After Gorishniy et al. 2021 ("Revisiting deep learning models for tabular data", ResNet), 2022 ("On embeddings for
numerical features") and 2025 ("TabM": several networks in one, trained on the same batches, their mean predicts).
Torch only trains; the weights are arrays, and numpy predicts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import expit, softmax
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, log_softmax, relu

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features.tabular import fit_basis, tabular_basis, tabular_values
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.graphs import Graph
from automl_engine.models.shared.trainer import Decay, Trainer
from automl_engine.models.tabular.boosting import row_weights, rows_in_time

CLIP = 4.0
MOST_ROWS = 100_000
LONGEST_SHARE = 0.2
"""Fraction of the remaining time that one step may take."""


def scores(inputs: Any, weights: Any, drop: float = 0.0) -> Any:
    """(N, D) -> (networks, N, K) before softmax or sigmoid, by weights of these names; tensors (training) or arrays."""
    learns = isinstance(inputs, torch.Tensor)
    bend = relu if learns else lambda values: np.maximum(values, 0)
    thin = (lambda values: dropout(values, drop)) if learns and drop else lambda values: values
    hidden = bend(inputs @ weights["in"] + weights["in_bias"])
    for block in range(sum(key.startswith("up") for key in weights) // 2):
        inner = bend(hidden @ weights[f"up{block}"] + weights[f"up{block}_bias"])
        hidden = hidden + thin(inner) @ weights[f"down{block}"]
    return thin(hidden) @ weights["out"] + weights["out_bias"]


class TabularNetwork(AnytimeModel):
    """Trained in one step, its learning rate falling to zero by the last epoch or when the time is up.

    Params: ``networks``, ``width``, ``blocks``, ``ranges`` (of a number column), ``epochs``, ``lr``, ``decay``,
    ``dropout``, ``batch``, ``seed``.
    """

    name: ClassVar[str] = "tabular_network"

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.weights: dict[str, np.ndarray] = {}
        self.basis: dict[str, np.ndarray] = {}
        self.multi_label = False

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        share_s = LONGEST_SHARE * remaining_time_budget
        stop_at = clock.now_s() + share_s
        seed = self.params.get("seed", 0)
        self.multi_label = is_multi_label(split.labels)
        split = rows_in_time(split, clock.now_s() + share_s / 2, MOST_ROWS, seed)
        self.basis = fit_basis(tabular_values(split), self.params.get("ranges", 8))
        inputs = tabular_basis(split, **self.basis)
        mean, deviation = inputs.mean(0), inputs.std(0)
        self.weights = {"mean": mean, "scale": np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0)}
        self.weights = {key: value.astype(np.float32) for key, value in self.weights.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._descend(self._standardise(inputs), split.labels, stop_at)
        self.done_training = True

    def _standardise(self, inputs: np.ndarray) -> np.ndarray:
        return np.clip((inputs - self.weights["mean"]) * self.weights["scale"], -CLIP, CLIP)

    def _descend(self, inputs: np.ndarray, labels: np.ndarray, stop_at: float) -> None:
        """AdamW on cross-entropy; ``weights`` gets what was learned."""
        count, batch_size, drop = len(inputs), self.params.get("batch", 64), self.params.get("dropout", 0.3)
        learned = torch.nn.ParameterDict(self._initial(inputs.shape[1], labels))
        decays = [value for key, value in learned.items() if "bias" not in key]
        biases = [value for key, value in learned.items() if "bias" in key]
        groups = [{"params": decays, "weight_decay": self.params.get("decay", 0.1)}, {"params": biases}]
        x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
        if not self.multi_label:
            y = y * torch.from_numpy(row_weights(labels).astype(np.float32))[:, None]
        steps = self.params.get("epochs", 12) * math.ceil(count / batch_size)
        rate = Decay(self.params.get("lr", 2e-3), steps, clock.now_s(), stop_at, warms_up=True)
        trainer = Trainer(
            learned,
            lambda rows: scores(rows, learned, drop),
            self._loss,
            torch.optim.AdamW(groups, lr=0.0, weight_decay=0.0),
            rate,
            batch=lambda chosen: (x[chosen], y[chosen]),
            operation="tabular network step",
            amounts=lambda chosen: self._amounts(learned, len(chosen)),
        )
        order = torch.arange(count)
        while rate.progress(trainer.steps) < 1:
            at = trainer.steps * batch_size % count
            if at < batch_size:
                order = torch.randperm(count)
            trainer.step(order[at : at + batch_size])
        self.weights |= {key: value.detach().numpy() for key, value in learned.items()}

    @staticmethod
    def _amounts(weights: Mapping[str, Any] | torch.nn.ParameterDict, count: int) -> dict[str, float]:
        """For the clock: a pass of ``count`` rows."""
        sizes = [float(np.prod(value.shape)) for value in weights.values()]
        return {"layers": len(sizes), "weights": sum(sizes), "products": count * sum(sizes)}

    def _loss(self, out: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.multi_label:
            return binary_cross_entropy_with_logits(out, labels.expand_as(out)) * labels.shape[1]
        return -(log_softmax(out, -1) * labels).sum(-1).mean()

    def _initial(self, width_in: int, labels: np.ndarray) -> dict[str, torch.Tensor]:
        """Weights (networks, in, out) and biases (networks, 1, out); the last bias starts at the classes' shares."""
        networks, width = self.params.get("networks", 4), self.params.get("width", 64)
        share = torch.from_numpy(labels.mean(0).clip(1e-3, 1 - 1e-3))
        first = torch.logit(share) if self.multi_label else share.log()

        def linear(rows: int, columns: int, gain: float) -> torch.Tensor:
            return torch.randn(networks, rows, columns) * gain / max(1, rows) ** 0.5

        found = {"in": linear(width_in, width, 1.0), "in_bias": torch.rand(networks, 1, width) - 0.5}
        for block in range(self.params.get("blocks", 2)):
            found |= {
                f"up{block}": linear(width, width, 1.4),
                f"up{block}_bias": torch.zeros(networks, 1, width),
                f"down{block}": linear(width, width, 0.5),
            }
        found["out"] = linear(width, labels.shape[1], 0.1)
        found["out_bias"] = first.float().repeat(networks, 1, 1)
        return found

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        inputs = tabular_basis(split, **self.basis)
        with clock.work("tabular network forward", **self._amounts(self.weights, len(inputs))):
            parts = np.array_split(self._standardise(inputs), len(inputs) // 5000 + 1)
            return np.concatenate([self._predict(part) for part in parts])

    def _predict(self, inputs: np.ndarray) -> np.ndarray:
        out = scores(inputs, self.weights)
        return (expit(out) if self.multi_label else softmax(out, axis=-1)).mean(0)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps({"params": self.params, "multi_label": self.multi_label}))
        np.savez(dir / "weights.npz", allow_pickle=False, **self.weights)
        np.savez(dir / "basis.npz", allow_pickle=False, **self.basis)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        saved = json.loads((dir / "params.json").read_text())
        model = cls(spec, **saved["params"])
        model.multi_label = saved["multi_label"]
        with np.load(dir / "weights.npz", allow_pickle=False) as arrays:
            model.weights = dict(arrays)
        with np.load(dir / "basis.npz", allow_pickle=False) as arrays:
            model.basis = dict(arrays)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        arrays, graph = f"{self.name}.npz", f"{self.name}.onnx"
        np.savez(dir / arrays, allow_pickle=False, **self.basis)
        to_onnx(self.weights, self.multi_label, dir / graph)
        member = {"name": self.name, "weight": 1, "feature": "tabular_basis", "params": {}}
        return [{**member, "arrays": arrays, "graph": graph}]


def to_onnx(weights: dict[str, np.ndarray], multi_label: bool, path: Path) -> None:
    """``scores`` as a graph: input ``features`` (N, D) before standardising, output ``probabilities`` (N, K)."""
    constants = {key: np.asarray(value, np.float32) for key, value in weights.items()}
    graph = Graph(features=(np.float32, ["n", len(weights["mean"])]))

    def layer(inputs: str, name: str) -> str:
        return graph.add("Add", graph.add("MatMul", inputs, constants[name]), constants[f"{name}_bias"])

    scaled = graph.add("Mul", graph.add("Sub", "features", constants["mean"]), constants["scale"])
    at = graph.add("Relu", layer(graph.add("Clip", scaled, -CLIP, CLIP), "in"))
    for block in range(sum(key.startswith("down") for key in weights)):
        inner = graph.add("Relu", layer(at, f"up{block}"))
        at = graph.add("Add", at, graph.add("MatMul", inner, constants[f"down{block}"]))
    graph.add("ReduceMean", graph.probabilities(layer(at, "out"), multi_label), axes=[0], keepdims=0)
    graph.save(path, weights["out"].shape[-1])
