"""Linear classifiers on fixed features: ridge in closed form, logistic regression by L-BFGS.  No torch.

``LinearHead`` is the fitted thing (standardise, multiply, softmax or sigmoid), ``FeatureLinear`` the model that
joins it to one of ``FEATURES``; a modality's linear rung is a subclass of a few lines.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logsumexp, softmax
from threadpoolctl import threadpool_limits

from automl_engine.dataset.examples import Examples
from automl_engine.features import feature
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.spec import Spec

CLIP = 8.0
"""Standardised features are clipped to this: one odd test value must not decide alone."""
RIDGE_ALPHAS = tuple(10.0**p for p in range(-3, 6))
SMALL = 1_000_000
"""Numbers; on fewer, threads of the linear algebra wait for each other longer than they work if others share the
processor."""
TEMPERATURES = np.geomspace(0.5, 64, 15)


@dataclass(frozen=True)
class LinearHead:
    """Probabilities from features (N, D): softmax or sigmoid of clip((x - mean) * scale) @ weights + bias."""

    mean: np.ndarray  # (D,) float32
    scale: np.ndarray  # (D,) float32, 1 / standard deviation
    weights: np.ndarray  # (D, K) float32
    bias: np.ndarray  # (K,) float32
    multi_label: bool

    def standardise(self, features: np.ndarray) -> np.ndarray:
        return _standardise(features, self.mean, self.scale)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float32 probabilities."""
        scores = self.standardise(features) @ self.weights + self.bias
        return expit(scores) if self.multi_label else softmax(scores, axis=1)

    def save(self, path: Path) -> None:
        """One ``.npz``."""
        np.savez(
            path,
            mean=self.mean,
            scale=self.scale,
            weights=self.weights,
            bias=self.bias,
            multi_label=np.array(self.multi_label),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as data:
            multi_label = bool(data["multi_label"])
            return cls(data["mean"], data["scale"], data["weights"], data["bias"], multi_label)

    def to_onnx(self, path: Path) -> None:
        """The same function as a graph: input ``features`` (N, D) float32, output ``probabilities`` (N, K)."""
        from onnx import TensorProto, checker, helper, numpy_helper, save

        width, classes = self.weights.shape
        constants = {
            "mean": self.mean,
            "scale": self.scale,
            "low": np.float32(-CLIP),
            "high": np.float32(CLIP),
            "weights": self.weights,
            "bias": self.bias,
        }
        last = (
            helper.make_node("Sigmoid", ["scores"], ["probabilities"])
            if self.multi_label
            else helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1)
        )
        graph = helper.make_graph(
            [
                helper.make_node("Sub", ["features", "mean"], ["centred"]),
                helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
                helper.make_node("Clip", ["scaled", "low", "high"], ["standardised"]),
                helper.make_node("Gemm", ["standardised", "weights", "bias"], ["scores"]),
                last,
            ],
            "linear",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])],
            [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        checker.check_model(model)
        save(model, path)


def _standardise(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip((features.astype(np.float32, copy=False) - mean) * scale, -CLIP, CLIP)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / standard deviation; a constant feature is scaled to zero, whatever it is in the test."""
    mean, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    varies = deviation > 1e-6 * (1 + np.abs(mean))
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0)
    return mean.astype(np.float32), scale.astype(np.float32)


def fit_ridge(features: np.ndarray, labels: np.ndarray, multi_label: bool) -> tuple[LinearHead, np.ndarray]:
    """Ridge regression on ±1 targets; its strength and its temperature are chosen by leave-one-out log-loss.

    All leave-one-out scores of a ridge come from one decomposition (Rifkin & Lippert, "Notes on regularized
    least squares", 2007, section 3): s_loo = y - (y - s) / (1 - h), h the diagonal of the hat matrix.

    Args:
        features: (N, D) float.
        labels: (N, K) in 0..1.

    Returns:
        The head, and the leave-one-out probabilities (N, K) of the training examples.
    """
    mean, scale = _moments(features)
    inputs = _standardise(features, mean, scale)
    centre = inputs.mean(0)  # clipping may have moved it
    inputs -= centre
    targets = 2 * labels.astype(np.float32) - 1
    offset = targets.mean(0)
    basis, spectrum, rotation = _decompose(inputs)  # inputs = basis * sqrt(spectrum) @ rotation
    projected = basis.T @ (targets - offset)

    best: tuple[float, float, float, np.ndarray] | None = None
    for alpha in (a * len(inputs) / 100 for a in RIDGE_ALPHAS):
        shrink = spectrum / (spectrum + alpha)
        fitted = basis @ (shrink[:, None] * projected) + offset
        hat = np.minimum((basis**2) @ shrink + 1 / len(inputs), 1 - 1e-6)
        loo = targets - (targets - fitted) / (1 - hat[:, None])
        temperature, loss = _best_temperature(loo, labels, multi_label)
        if best is None or loss < best[0]:
            best = (loss, alpha, temperature, loo)
    assert best is not None
    _, alpha, temperature, loo = best
    weights = rotation.T @ ((np.sqrt(spectrum) / (spectrum + alpha))[:, None] * projected)
    head = LinearHead(
        mean,
        scale,
        (temperature * weights).astype(np.float32),
        (temperature * (offset - centre @ weights)).astype(np.float32),
        multi_label,
    )
    return head, expit(temperature * loo) if multi_label else softmax(temperature * loo, axis=1)


def _decompose(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin SVD of (N, D) by the eigenvectors of its smaller Gram matrix: U, squared singular values, V'; float32."""
    wide = inputs.shape[1] > inputs.shape[0]
    values, vectors = np.linalg.eigh((inputs @ inputs.T if wide else inputs.T @ inputs).astype(np.float64))
    keep = values > 1e-6 * max(values[-1], 1e-6)  # the precision of the float32 products
    values, vectors = values[keep].astype(np.float32), vectors[:, keep].astype(np.float32)
    if wide:
        return vectors, values, (vectors.T @ inputs) / np.sqrt(values)[:, None]
    return (inputs @ vectors) / np.sqrt(values), values, vectors.T


def _best_temperature(scores: np.ndarray, labels: np.ndarray, multi_label: bool) -> tuple[float, float]:
    losses = [log_loss(t * scores, labels, multi_label) for t in TEMPERATURES]
    best = int(np.argmin(losses))
    return float(TEMPERATURES[best]), losses[best]


def log_loss(scores: np.ndarray, labels: np.ndarray, multi_label: bool) -> float:
    """Mean cross-entropy of scores before softmax or sigmoid, (N, K)."""
    if multi_label:
        return float((np.logaddexp(0, scores) - labels * scores).mean())
    return float((logsumexp(scores, axis=1) * labels.sum(1) - (labels * scores).sum(1)).mean())


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, multi_label: bool, l2: float = 1.0, steps: int = 100
) -> LinearHead:
    """Softmax or sigmoid regression by L-BFGS; ``l2`` is the penalty on the sum over examples (scikit-learn's 1 / C).

    Args:
        features: (N, D) float.
        labels: (N, K) in 0..1.
    """
    mean, scale = _moments(features)
    inputs = _standardise(features, mean, scale)
    width, classes = inputs.shape[1], labels.shape[1]
    labels = labels.astype(np.float32)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(width + 1, classes).astype(np.float32)
        scores = inputs @ weights[:-1] + weights[-1]
        if multi_label:
            loss = (np.logaddexp(0, scores) - labels * scores).sum()
            error = expit(scores) - labels
        else:
            log_p = log_softmax(scores, axis=1)
            loss = -(labels * log_p).sum()
            error = np.exp(log_p) * labels.sum(1, keepdims=True) - labels
        gradient = np.concatenate([inputs.T @ error + l2 * weights[:-1], error.sum(0, keepdims=True)])
        total = float(loss) + 0.5 * l2 * float((weights[:-1] ** 2).sum())
        return total / len(inputs), gradient.ravel().astype(np.float64) / len(inputs)

    start = np.zeros((width + 1) * classes)
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x
    found = found.reshape(width + 1, classes).astype(np.float32)
    return LinearHead(mean, scale, found[:-1], found[-1], multi_label)


class FeatureLinear(AnytimeModel):
    """A linear head on one of ``FEATURES``, trained in a single step.

    Params: ``head`` ("ridge", the default, or "logistic"), ``l2`` (logistic); the others go to the feature.
    """

    feature: ClassVar[str]
    head: LinearHead

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        inputs, labels = self.inputs(split), split.labels
        multi_label = is_multi_label(labels)
        with threadpool_limits(1 if inputs.size < SMALL else None):
            if self.params.get("head", "ridge") == "ridge":
                self.head, _ = fit_ridge(inputs, labels, multi_label)
            else:
                self.head = fit_logistic(inputs, labels, multi_label, l2=self.params.get("l2", 1.0))
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        return self.head.predict(self.inputs(split))

    @property
    def feature_params(self) -> dict[str, Any]:
        return {key: value for key, value in self.params.items() if key not in ("head", "l2", "seed", "device")}

    def inputs(self, split: Examples) -> np.ndarray:
        """(N, D) float32."""
        return feature(self.feature)(split, **self.feature_params)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        self.head.save(dir / "head.npz")

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        model.head = LinearHead.load(dir / "head.npz")
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        graph = f"{self.name}.onnx"
        self.head.to_onnx(dir / graph)
        return [
            {"name": self.name, "weight": 1, "feature": self.feature, "params": self.feature_params, "graph": graph}
        ]
