"""Linear classifiers of texts on hashed n-grams: naive Bayes at once, logistic regression soon after.

``head`` is one of
- ``naive_bayes``: weights in closed form from tf-idf sums of each class against the rest (Rennie et al. 2003,
  "Tackling the poor assumptions of naive Bayes text classifiers", section 4);
- ``logistic``: softmax or sigmoid regression by L-BFGS;
- ``nb_logistic``: the same on features that were scaled by their naive Bayes weights (Wang & Manning 2012, "Baselines
  and bigrams", with logistic loss).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, softmax

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.features import text as ngrams
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.linear import TEMPERATURES, log_loss

MAX_WEIGHTS = 3_000_000  # features times classes: bounds the memory of L-BFGS


class TextLinear(AnytimeModel):
    """Tf-idf of n-grams and one linear layer, trained in a single step.

    Params: ``head``; ``sample``, train on so many texts, rare classes first; ``l2``, the penalty on the sum over
    texts; ``seed``.
    """

    name: ClassVar[str] = "text_linear"

    characters: bool
    multi_label: bool
    buckets: np.ndarray  # (D,) int32
    idf: np.ndarray  # (D,) float32
    weights: np.ndarray  # (D, K) float32
    bias: np.ndarray  # (K,) float32

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        stop_at = clock.now_s() + min(30.0, 0.25 * remaining_time_budget)
        head = self.params.get("head", "logistic")
        labels = split.labels
        self.multi_label = is_multi_label(labels)
        sample = self.params.get("sample", 40_000)
        if sample < len(split):
            chosen = rare_first(labels, self.params.get("seed", 0))[:sample]
            split, labels = split.subset(chosen), labels[chosen]
        self.characters = ngrams.single_characters(split.spec)
        counts = ngrams.count_ngrams(split, self.characters)
        with clock.work("choose n-grams", entries=len(counts.buckets), buckets=ngrams.BUCKETS):
            self.buckets, self.idf = ngrams.fit_weights(counts, 2, MAX_WEIGHTS // labels.shape[1])
        inputs = self._matrix(counts)
        products, weights = inputs.nnz * labels.shape[1], inputs.shape[1] * labels.shape[1]
        if head == "naive_bayes":
            with clock.work("naive Bayes", products=products, weights=weights, scores=labels.size):
                self.weights, self.bias = fit_naive_bayes(inputs, labels, self.multi_label)
        elif head in ("logistic", "nb_logistic"):
            scale = None
            if head == "nb_logistic":
                with clock.work("naive Bayes weights", products=products, weights=weights):
                    scale = naive_bayes_weights(inputs > 0, labels, smoothing=1.0)
            l2 = self.params.get("l2", 0.1)
            self.weights, self.bias = fit_sparse_logistic(inputs, labels, self.multi_label, l2, scale, stop_at)
        else:
            raise ValueError(f"head must be naive_bayes, logistic or nb_logistic but got {head!r}")
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        inputs = self._matrix(ngrams.count_ngrams(split, self.characters))
        with clock.work("sparse linear", products=inputs.nnz * len(self.bias), scores=len(split) * len(self.bias)):
            scores = inputs @ self.weights + self.bias
            return expit(scores) if self.multi_label else softmax(scores, axis=1)

    def _matrix(self, counts: ngrams.Counts) -> csr_matrix:
        """(N, D) float32."""
        with clock.work("tf-idf", entries=len(counts.buckets), buckets=ngrams.BUCKETS):
            rows, columns, values = ngrams.weigh(counts, self.buckets, self.idf)
            return csr_matrix((values, (rows, columns)), (len(counts.starts) - 1, len(self.buckets)))

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        np.savez(
            dir / "text_linear.npz",
            buckets=self.buckets,
            idf=self.idf,
            weights=self.weights,
            bias=self.bias,
            flags=np.array([self.characters, self.multi_label]),
        )

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        with np.load(dir / "text_linear.npz", allow_pickle=False) as saved:
            for name in ("buckets", "idf", "weights", "bias"):
                setattr(model, name, saved[name])
            model.characters, model.multi_label = saved["flags"].tolist()
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        head = self.params.get("head", "logistic")
        arrays, graph = f"{self.name}_{head}.npz", f"{self.name}_{head}.onnx"
        np.savez(dir / arrays, buckets=self.buckets, idf=self.idf)
        sparse_linear_to_onnx(self.weights, self.bias, self.multi_label, dir / graph)
        params = {"characters": self.characters}
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


def rare_first(labels: np.ndarray, seed: int) -> np.ndarray:
    """(N,) a random order in which every beginning holds the classes as evenly as can be."""
    order = np.random.default_rng(seed).permutation(len(labels))
    rarity = labels / np.maximum(labels.sum(0), 1)
    classes = rarity.argmax(1)[order]
    rank = np.empty(len(labels), np.int64)
    for k in np.unique(classes):
        members = np.flatnonzero(classes == k)
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank, kind="stable")]


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


def fit_sparse_logistic(
    inputs: csr_matrix,
    labels: np.ndarray,
    multi_label: bool,
    l2: float,
    scale: np.ndarray | None,
    stop_at: float,
    steps: int = 30,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, K) and bias (K,) by L-BFGS from zero, stopped at the moment ``stop_at`` of the clock.

    ``scale`` (D, K) multiplies the features, differently for each class.
    """
    width, classes = inputs.shape[1], labels.shape[1]
    labels = labels.astype(np.float32)
    transposed = inputs.T.tocsr()

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(width + 1, classes).astype(np.float32)
        scores = inputs @ (weights[:-1] if scale is None else weights[:-1] * scale) + weights[-1]
        error = (expit(scores) if multi_label else softmax(scores, axis=1) * labels.sum(1, keepdims=True)) - labels
        slope = transposed @ error
        gradient = np.empty((width + 1, classes))
        gradient[:-1] = (slope if scale is None else slope * scale) + l2 * weights[:-1]
        gradient[-1] = error.sum(0)
        terms = classes if multi_label else 1
        loss = log_loss(scores, labels, multi_label) * terms + 0.5 * l2 * float((weights[:-1] ** 2).sum()) / len(labels)
        return loss, gradient.ravel() / len(labels)

    def stop_in_time(intermediate_result: Any) -> None:
        lap(products=inputs.nnz * classes, weights=width * classes, scores=len(labels) * classes)
        if clock.now_s() > stop_at:
            raise StopIteration

    with clock.work("sparse logistic step" if scale is None else "scaled sparse logistic step") as lap:
        found = minimize(
            loss_and_gradient,
            np.zeros((width + 1) * classes),
            jac=True,
            method="L-BFGS-B",
            callback=stop_in_time,
            options={"maxiter": steps, "maxcor": 5, "ftol": 1e-5},
        ).x
    found = found.reshape(width + 1, classes).astype(np.float32)
    return found[:-1] if scale is None else found[:-1] * scale, found[-1]


def sparse_linear_to_onnx(weights: np.ndarray, bias: np.ndarray, multi_label: bool, path: Path) -> None:
    """Inputs ``columns`` (N, L) int64 and ``values`` (N, L) float32; output ``probabilities`` (N, K)."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    constants = {"weights": weights, "bias": bias}
    nodes = [
        helper.make_node("Gather", ["weights", "columns"], ["rows"]),  # (N, L, K)
        helper.make_node("Unsqueeze", ["values", "axis"], ["row"]),  # (N, 1, L)
        helper.make_node("MatMul", ["row", "rows"], ["summed"]),
        helper.make_node("Squeeze", ["summed", "axis"], ["flat"]),
        helper.make_node("Add", ["flat", "bias"], ["scores"]),
        helper.make_node("Sigmoid", ["scores"], ["probabilities"])
        if multi_label
        else helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "text_linear",
        [
            helper.make_tensor_value_info("columns", TensorProto.INT64, ["n", "l"]),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["n", "l"]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(bias)])],
        [
            *(numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()),
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)
