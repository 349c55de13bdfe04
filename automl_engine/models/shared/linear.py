"""Linear classifiers on fixed features: ridge in closed form, logistic regression by L-BFGS.  No torch.

``LinearHead`` is the fitted thing (standardise, multiply, softmax or sigmoid), ``FeatureLinear`` the model that
joins it to one of ``FEATURES``; the linear model of a modality is a subclass of a few lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import ThreadpoolController

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.memory import feature_limit_bytes
from automl_engine.dataset.spec import Spec
from automl_engine.features import feature
from automl_engine.models.base import AnytimeModel, is_multi_label

SHARE = 0.25
"""Of the remaining time that reading features for one fit may take."""
PART = 4096
"""Examples whose features are made at once."""
CHECKED = 20_000
"""Examples that strength and temperature of a ridge are chosen on."""
WIDE = 4096
"""With more features, the products of columns are too large to add up; as many examples as fit must do."""
CLIP = 8.0
"""Standardised features are clipped to this: one odd test value must not decide alone."""
RIDGE_ALPHAS = tuple(10.0**p for p in range(-3, 6))
SMALL = 1_000_000
"""Numbers; on fewer, threads of the linear algebra wait for each other longer than they work if others share the
processor."""
TEMPERATURES = np.geomspace(0.5, 64, 15)
_POOLS = ThreadpoolController()  # looking for the libraries takes tens of milliseconds, here before the clock starts


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
        with clock.work("linear", cells=features.size, products=features.size * len(self.bias)):
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


class _Spectrum(NamedTuple):
    """Standardised inputs X and targets by the singular values of X: X = basis * sqrt(values) @ rotation, centred."""

    basis: np.ndarray  # (n, R) of the rows to check on
    values: np.ndarray  # (R,) squared singular values
    rotation: np.ndarray  # (R, D)
    projected: np.ndarray  # (R, K) = basis.T @ targets over all rows
    centre: np.ndarray  # (D,) mean of the inputs: clipping may have moved it
    offset: np.ndarray  # (K,) mean of the targets
    count: int


def fit_ridge(
    features: np.ndarray, labels: np.ndarray, multi_label: bool, more: Iterable[tuple[np.ndarray, np.ndarray]] = ()
) -> tuple[LinearHead, np.ndarray]:
    """Ridge regression on ±1 targets; its strength and its temperature are chosen by leave-one-out log-loss.

    All leave-one-out scores of a ridge come from one decomposition (Rifkin & Lippert, "Notes on regularized
    least squares", 2007, section 3): s_loo = y - (y - s) / (1 - h), h the diagonal of the hat matrix.

    Args:
        features: (N, D) float.
        labels: (N, K) in 0..1.
        more: further features and labels, part by part; they are added up, not kept.

    Returns:
        The head, and the leave-one-out probabilities of the training examples; of more than ``CHECKED`` every second,
        third, ... one.
    """
    with clock.work("moments", cells=features.size):
        mean, scale = _moments(features)
    step = -(-len(features) // CHECKED)
    parts = ((_standardise(x, mean, scale), 2 * y.astype(np.float32) - 1) for x, y in chain([(features, labels)], more))
    found = _decompose_wide(*next(parts)) if features.shape[1] > len(features) else _decompose_tall(parts, step)
    with clock.work("choose ridge", cells=found.basis.size, products=found.basis.size * labels.shape[1]):
        return _best_ridge(found, labels[::step], mean, scale, multi_label)


def _best_ridge(
    found: _Spectrum, labels: np.ndarray, mean: np.ndarray, scale: np.ndarray, multi_label: bool
) -> tuple[LinearHead, np.ndarray]:
    """By the leave-one-out log-loss of the rows of ``found.basis``, whose ``labels`` these are."""
    basis, spectrum, rotation, projected, centre, offset, count = found
    squares, targets = basis**2, 2 * labels.astype(np.float32) - 1
    best: tuple[float, float, float, np.ndarray] | None = None
    for alpha in (a * count / 100 for a in RIDGE_ALPHAS):
        shrink = spectrum / (spectrum + alpha)
        fitted = basis @ (shrink[:, None] * projected) + offset
        hat = np.minimum(squares @ shrink + 1 / count, 1 - 1e-6)
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


def _decompose_wide(inputs: np.ndarray, targets: np.ndarray) -> _Spectrum:
    """More columns than rows: by the products of rows."""
    count, width = inputs.shape
    with clock.work("decompose wide", cells=inputs.size, products=width * count**2, cubes=count**3):
        centre, offset = inputs.mean(0), targets.mean(0)
        inputs = inputs - centre
        values, vectors = _eigen(inputs @ inputs.T)
        rotation = (vectors.T @ inputs) / np.sqrt(values)[:, None]
        return _Spectrum(vectors, values, rotation, vectors.T @ (targets - offset), centre, offset, count)


def _decompose_tall(parts: Iterator[tuple[np.ndarray, np.ndarray]], step: int) -> _Spectrum:
    """By the products of columns, added up over the parts; every ``step``-th row of the first part is checked on."""
    inputs, targets = next(parts)
    checked, width = inputs[::step], inputs.shape[1]
    gram, cross = np.zeros((width, width)), np.zeros((width, targets.shape[1]))
    centre, offset, count = np.zeros(width), np.zeros(targets.shape[1]), 0
    for x, y in chain([(inputs, targets)], parts):
        with clock.work("gram", cells=x.size, products=x.size * width):
            gram += x.T @ x
            cross += x.T @ y
            centre += x.sum(0)
            offset += y.sum(0)
            count += len(x)
    centre, offset = centre / count, offset / count
    with clock.work("decompose tall", products=checked.size * width, cubes=width**3):
        values, vectors = _eigen(gram - count * np.outer(centre, centre))
        root = np.sqrt(values)
        projected = (vectors.T @ (cross - count * np.outer(centre, offset)).astype(np.float32)) / root[:, None]
        centre, offset = centre.astype(np.float32), offset.astype(np.float32)
        return _Spectrum((checked - centre) @ vectors / root, values, vectors.T, projected, centre, offset, count)


def _eigen(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and vectors (in columns) beyond the precision of float32 products."""
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    keep = values > 1e-6 * max(values[-1], 1e-6)
    return values[keep].astype(np.float32), vectors[:, keep].astype(np.float32)


def _best_temperature(scores: np.ndarray, labels: np.ndarray, multi_label: bool) -> tuple[float, float]:
    losses = [log_loss(t * scores, labels, multi_label) for t in TEMPERATURES]
    best = int(np.argmin(losses))
    return float(TEMPERATURES[best]), losses[best]


def log_loss(scores: np.ndarray, labels: np.ndarray, multi_label: bool) -> float:
    """Mean cross-entropy of scores before softmax or sigmoid, (N, K)."""
    if multi_label:
        return float((np.logaddexp(0, scores) - labels * scores).mean())
    top = scores.max(1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(1))  # scipy's logsumexp is slow on small arrays
    return float((normaliser * labels.sum(1) - (labels * scores).sum(1)).mean())


def fit_logistic(
    features: np.ndarray,
    labels: np.ndarray,
    multi_label: bool,
    l2: float = 1.0,
    steps: int = 100,
    end: float = np.inf,
) -> LinearHead:
    """Softmax or sigmoid regression by L-BFGS; ``l2`` is the penalty on the sum over examples (scikit-learn's 1 / C).

    Args:
        features: (N, D) float.
        labels: (N, K) in 0..1.
        end: on the monotonic clock; what is found until then counts.
    """
    with clock.work("moments", cells=features.size):
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

    def stop_in_time(present: np.ndarray) -> None:
        lap(steps=1, weights=found.size, scores=len(inputs) * classes, products=inputs.size * classes)
        if clock.now_s() > end:
            raise StopIteration

    found, options = np.zeros((width + 1) * classes), {"maxiter": steps}
    with clock.work("logistic step") as lap:
        found = minimize(
            loss_and_gradient, found, jac=True, method="L-BFGS-B", options=options, callback=stop_in_time
        ).x
    found = found.reshape(width + 1, classes).astype(np.float32)
    return LinearHead(mean, scale, found[:-1], found[-1], multi_label)


class FeatureLinear(AnytimeModel):
    """A linear head on one of ``FEATURES``, trained in a single step.

    Params: ``head`` ("ridge", the default, or "logistic"), ``l2`` (logistic); the others go to the feature.
    """

    feature: ClassVar[str]
    head: LinearHead

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """Examples in random order, part by part, as many as there is time for; a few parts at once in memory."""
        end = clock.now_s() + SHARE * remaining_time_budget
        multi_label, labels = is_multi_label(split.labels), split.labels
        order = np.random.default_rng(self.params.get("seed", 0)).permutation(len(split))
        parts = [order[at : at + PART] for at in range(0, len(order), PART)] if len(order) > PART else [slice(None)]
        rest = ((self.inputs(split.subset(p)), labels[p]) for p in parts[1:] if clock.now_s() < end)
        first = self.inputs(split.subset(parts[0]) if len(parts) > 1 else split)
        most = max(1, feature_limit_bytes() // first.nbytes) if len(parts) > 1 else 1
        together = [(first, labels[parts[0]]), *islice(rest, most - 1)]
        inputs, targets = (
            np.concatenate(arrays) if len(together) > 1 else arrays[0] for arrays in zip(*together, strict=True)
        )
        del first, together
        with _POOLS.limit(limits=1 if inputs.size < SMALL else None):
            if self.params.get("head", "ridge") == "ridge":
                more = rest if inputs.shape[1] <= WIDE else ()
                self.head, _ = fit_ridge(inputs, targets, multi_label, more)
            else:
                l2 = self.params.get("l2", 1.0)
                self.head = fit_logistic(inputs, targets, multi_label, l2, end=end)
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        if len(split) <= PART:
            return self.head.predict(self.inputs(split))
        parts = (split.subset(np.arange(at, min(at + PART, len(split)))) for at in range(0, len(split), PART))
        return np.concatenate([self.head.predict(self.inputs(part)) for part in parts])

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
