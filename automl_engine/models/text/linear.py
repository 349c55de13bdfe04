"""Linear classifiers of texts on hashed n-grams: naive Bayes at once, logistic regression soon after.

``head`` is one of
- ``naive_bayes``: weights in closed form from tf-idf sums of each class against the rest (Rennie et al. 2003,
  "Tackling the poor assumptions of naive Bayes text classifiers", section 4);
- ``logistic``: softmax or sigmoid regression by L-BFGS;
- ``nb_logistic``: the same on features that were scaled by their naive Bayes weights (Wang & Manning 2012, "Baselines
  and bigrams", with logistic loss);
- ``svm``: a linear support vector machine a class, scikit-learn's ``LinearSVC`` by default (the challenge's winners).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import csr_matrix
from scipy.special import expit, softmax

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.splits import rare_first
from automl_engine.features import text as ngrams
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.graphs import Graph
from automl_engine.models.shared.linear import TEMPERATURES
from automl_engine.models.shared.logistic import fit_logistic, log_loss

MAX_WEIGHTS = 3_000_000
"""Number of features times classes: it bounds the memory of L-BFGS."""


@dataclass(frozen=True)
class Fitted:
    """The n-grams that training chose, and their weights."""

    characters: bool
    multi_label: bool
    buckets: np.ndarray  # (D,) int32
    idf: np.ndarray  # (D,) float32
    weights: np.ndarray  # (D, K) float32
    bias: np.ndarray  # (K,) float32


class TextLinear(AnytimeModel):
    """Tf-idf of n-grams and one linear layer, trained in a single step.

    Params: ``head``; ``sample``, train on so many texts, rare classes first; ``l2``, the penalty on the sum over
    texts; ``seed``.
    """

    name: ClassVar[str] = "text_linear"

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self._fitted: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        assert self._fitted is not None, "train comes first"
        return self._fitted

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        stop_at = clock.now_s() + min(30.0, 0.25 * remaining_time_budget)
        head = self.params.get("head", "logistic")
        labels = split.labels
        multi_label = is_multi_label(labels)
        sample = self.params.get("sample", 40_000)
        if sample < len(split):
            chosen = rare_first(labels, self.params.get("seed", 0))[:sample]
            split, labels = split.subset(chosen), labels[chosen]
        characters = ngrams.single_characters(split.spec)
        counts = ngrams.count_ngrams(split, characters)
        with clock.work("choose n-grams", entries=len(counts.buckets), buckets=ngrams.BUCKETS):
            buckets, idf = ngrams.fit_weights(counts, 2, MAX_WEIGHTS // labels.shape[1])
        inputs = _matrix(counts, buckets, idf)
        products, weights = inputs.nnz * labels.shape[1], inputs.shape[1] * labels.shape[1]
        if head == "naive_bayes":
            with clock.work("naive Bayes", products=products, weights=weights, scores=labels.size):
                fitted = fit_naive_bayes(inputs, labels, multi_label)
        elif head in ("logistic", "nb_logistic"):
            scale = None
            if head == "nb_logistic":
                with clock.work("naive Bayes weights", products=products, weights=weights):
                    scale = naive_bayes_weights(inputs > 0, labels, smoothing=1.0)
            fitted = fit_logistic(
                inputs,
                labels,
                multi_label,
                self.params.get("l2", 0.1),
                stop_at,
                scale,
                work="sparse logistic step" if scale is None else "scaled sparse logistic step",
                amounts={"products": products, "weights": weights, "scores": labels.size},
                maxiter=30,
                maxcor=5,
                ftol=1e-5,
            )
        elif head == "svm":
            with clock.work("support vectors", products=products, weights=weights):
                fitted = fit_svm(inputs, labels, self.params.get("seed", 0))
        else:
            raise ValueError(f"head must be naive_bayes, logistic, nb_logistic or svm but got {head!r}")
        self._fitted = Fitted(characters, multi_label, buckets, idf, *fitted)
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        known = self.fitted
        inputs = _matrix(ngrams.count_ngrams(split, known.characters), known.buckets, known.idf)
        classes = len(known.bias)
        with clock.work("sparse linear", products=inputs.nnz * classes, scores=len(split) * classes):
            scores = inputs @ known.weights + known.bias
            return expit(scores) if known.multi_label else softmax(scores, axis=1)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        known = self.fitted
        np.savez(
            dir / "text_linear.npz",
            buckets=known.buckets,
            idf=known.idf,
            weights=known.weights,
            bias=known.bias,
            flags=np.array([known.characters, known.multi_label]),
        )

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        with np.load(dir / "text_linear.npz", allow_pickle=False) as saved:
            arrays = dict(saved)
            model._fitted = Fitted(*arrays.pop("flags").tolist(), **arrays)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        head = self.params.get("head", "logistic")
        arrays, graph = f"{self.name}_{head}.npz", f"{self.name}_{head}.onnx"
        known = self.fitted
        np.savez(dir / arrays, buckets=known.buckets, idf=known.idf)
        sparse_linear_to_onnx(known.weights, known.bias, known.multi_label, dir / graph)
        params = {"characters": known.characters}
        return [
            {
                "name": f"{self.name} {head}",
                "weight": 1,
                "feature": "text_ngrams",
                "params": params,
                "arrays": arrays,
                "graph": graph,
            }
        ]


def _matrix(counts: ngrams.Counts, buckets: np.ndarray, idf: np.ndarray) -> csr_matrix:
    """(N, D) float32."""
    with clock.work("tf-idf", entries=len(counts.buckets), buckets=ngrams.BUCKETS):
        rows, columns, values = ngrams.weigh(counts, buckets, idf)
        return csr_matrix((values, (rows, columns)), (len(counts.starts) - 1, len(buckets)))


def naive_bayes_weights(inputs: csr_matrix, labels: np.ndarray, smoothing: float) -> np.ndarray:
    """(D, K) float32: log of each feature's share in the class over its share in the rest."""
    inside = inputs.T.astype(np.float32) @ labels.astype(np.float32)
    outside = np.maximum(np.asarray(inputs.sum(0)).reshape(-1, 1) - inside, 0) + smoothing
    inside = inside + smoothing
    return (np.log(inside / inside.sum(0)) - np.log(outside / outside.sum(0))).astype(np.float32)


def fit_naive_bayes(inputs: csr_matrix, labels: np.ndarray, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, K) and bias (K,); how far to trust them is measured on every other text."""
    share = labels.mean(0).clip(1e-3, 1 - 1e-3)
    bias = np.log(share / (1 - share) if multi_label else share)
    scores = inputs[1::2] @ naive_bayes_weights(inputs[::2], labels[::2], smoothing=0.05)
    losses = [log_loss(t * scores + bias, labels[1::2], multi_label) for t in TEMPERATURES]
    temperature = TEMPERATURES[int(np.argmin(losses))]
    weights = temperature * naive_bayes_weights(inputs, labels, smoothing=0.05)
    return weights.astype(np.float32), bias.astype(np.float32)


def fit_svm(inputs: csr_matrix, labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, K) and bias (K,); a class that all texts have, or none, gets a bias only."""
    from sklearn.svm import LinearSVC

    weights = np.zeros((inputs.shape[1], labels.shape[1]), np.float32)
    bias = np.where(labels.mean(0) > 0.5, 1, -1).astype(np.float32)
    has_class = labels > 0.5
    for k in np.flatnonzero(has_class.any(0) & ~has_class.all(0)):
        machine = LinearSVC(random_state=seed).fit(inputs, has_class[:, k])
        weights[:, k], bias[k] = machine.coef_[0], machine.intercept_[0]
    return weights, bias


def sparse_linear_to_onnx(weights: np.ndarray, bias: np.ndarray, multi_label: bool, path: Path) -> None:
    """Inputs ``columns`` (N, L) int64 and ``values`` (N, L) float32; output ``probabilities`` (N, K)."""
    graph, axis = Graph(columns=(np.int64, ["n", "l"]), values=(np.float32, ["n", "l"])), np.array([1])
    rows = graph.add("Gather", weights, "columns")  # (N, L, K)
    summed = graph.add("MatMul", graph.add("Unsqueeze", "values", axis), rows)  # (N, 1, K)
    graph.probabilities(graph.add("Add", graph.add("Squeeze", summed, axis), bias), multi_label)
    graph.save(path, len(bias))
