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
from scipy.special import expit, softmax

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.memory import feature_limit_bytes
from automl_engine.dataset.spec import Spec
from automl_engine.features import feature
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.graphs import Graph
from automl_engine.models.shared.logistic import POOLS, fit_logistic, log_loss

SHARE = 0.25
"""Fraction of the remaining time that reading features for one fit may take."""
PART = 4096
"""Number of examples whose features are extracted at once."""
CHECKED = 20_000
"""Number of examples that strength and temperature of a ridge are chosen on, at most."""
WIDE = 4096
"""Number of features beyond which products of columns are not added up: as many examples as fit in memory must do."""
CLIP = 8.0
"""Largest absolute value of a standardised feature: one odd test value must not decide alone."""
RIDGE_ALPHAS = tuple(10.0**p for p in range(-3, 6))
MANY_CLASSES = 50
"""Number of classes from which logistic regression begins at the class means: from zero, a step teaches too little."""
FEW = 3.0
"""Number of examples at which the mean of a class counts half."""
STEP = 5
"""Time of a step of logistic regression, in that of ``centroids``."""
SHARES = tuple(0.5**n for n in range(10))
SMALL = 1_000_000
"""Size of a matrix below which linear algebra uses one thread: if others share the processor, several wait for each
other longer than they work."""
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
        graph = Graph(features=(np.float32, ["n", len(self.mean)]))
        scaled = graph.add("Mul", graph.add("Sub", "features", self.mean), self.scale)
        scores = graph.add("Gemm", graph.add("Clip", scaled, -CLIP, CLIP), self.weights, self.bias)
        graph.probabilities(scores, self.multi_label)
        graph.save(path, len(self.bias))


def _standardise(features: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.clip((features.astype(np.float32, copy=False) - mean) * scale, -CLIP, CLIP)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / standard deviation; a constant feature is scaled to zero, whatever it is in the test."""
    with clock.work("moments", cells=features.size):
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
    rows: int


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


def fit_logistic_head(
    features: np.ndarray, labels: np.ndarray, multi_label: bool, l2: float = 1.0, end: float = np.inf
) -> LinearHead:
    """Logistic regression on standardised features; the arguments are those of ``fit_logistic``."""
    mean, scale = _moments(features)
    inputs = _standardise(features, mean, scale)
    (count, width), classes = inputs.shape, labels.shape[1]
    start, begun_s = None, clock.now_s()
    if classes >= MANY_CLASSES and not multi_label:
        start = centroids(inputs, labels)
        if clock.now_s() + STEP * (clock.now_s() - begun_s) > end:
            return LinearHead(mean, scale, start[:-1].astype(np.float32), start[-1].astype(np.float32), multi_label)
    amounts = {"weights": (width + 1) * classes, "scores": count * classes, "products": inputs.size * classes}
    weights, bias = fit_logistic(
        inputs,
        labels,
        multi_label,
        l2,
        end,
        start=start,
        work="logistic step",
        amounts={"steps": 1, **amounts},
        maxiter=100,
    )
    return LinearHead(mean, scale, weights, bias, multi_label)


def centroids(inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(D + 1, K) linear discriminants of single-label data, the bias last: one normal distribution a class, with the
    same variance of each feature in all classes (diagonal LDA; Dudoit, Fridlyand, Speed, JASA 2002).

    Means of few examples are shrunk to zero, the mean of standardised features.  All scores are divided by what makes
    them likeliest, since correlated features count as independent ones.
    """
    counts = labels.sum(0)
    with clock.work("linear", cells=inputs.size, products=inputs.size * len(counts)):
        sums = inputs.T @ labels
        within = (inputs**2).sum(0) - (sums**2 / np.maximum(counts, 1)).sum(1)
        means = sums / (counts + FEW)
        weights = means / np.maximum(within / len(inputs), 1e-3)[:, None]
        found = np.concatenate([weights, [np.log(counts + 1) - 0.5 * (weights * means).sum(0)]])
        some = slice(0, CHECKED // 10)
        scores = inputs[some] @ found[:-1] + found[-1]
        losses = {share: log_loss(share * scores, labels[some], False) for share in SHARES}
    return found * min(losses, key=lambda share: losses[share])


class FeatureLinear(AnytimeModel):
    """A linear head on one of ``FEATURES``, trained in a single step.

    Params: ``head`` ("ridge", the default, or "logistic"), ``l2`` (logistic); the others go to the feature.
    """

    feature: ClassVar[str]

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.arrays: dict[str, np.ndarray] = {}
        """What the feature learned from the training examples: given to it, saved and exported with the head."""
        self._head: LinearHead | None = None

    @property
    def head(self) -> LinearHead:
        assert self._head is not None, "train comes first"
        return self._head

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """Examples in random order, part by part, as many as there is time for; a few parts at once in memory."""
        end = clock.now_s() + SHARE * remaining_time_budget
        multi_label, labels = is_multi_label(split.labels), split.labels
        order = np.random.default_rng(self.params.get("seed", 0)).permutation(len(split))
        order = order if len(order) > PART else np.arange(len(order))
        parts = [order[at : at + PART] for at in range(0, len(order), PART)]
        rest = ((self.inputs(split.subset(p)), labels[p]) for p in parts[1:] if clock.now_s() < end)
        first = self.inputs(split.subset(parts[0]) if len(parts) > 1 else split)
        most = max(1, feature_limit_bytes() // first.nbytes) if len(parts) > 1 else 1
        together = [(first, labels[parts[0]]), *islice(rest, most - 1)]
        inputs, targets = (
            np.concatenate(arrays) if len(together) > 1 else arrays[0] for arrays in zip(*together, strict=True)
        )
        del first, together
        with POOLS.limit(limits=1 if inputs.size < SMALL else None):
            if self.params.get("head", "ridge") == "ridge":
                more = rest if inputs.shape[1] <= WIDE else ()
                self._head, _ = fit_ridge(inputs, targets, multi_label, more)
            else:
                l2 = self.params.get("l2", 1.0)
                self._head = fit_logistic_head(inputs, targets, multi_label, l2, end)
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        if len(split) <= PART:
            return self.head.predict(self.inputs(split))
        parts = (split.subset(np.arange(at, min(at + PART, len(split)))) for at in range(0, len(split), PART))
        return np.concatenate([self.head.predict(self.inputs(part)) for part in parts])

    @property
    def feature_params(self) -> dict[str, Any]:
        """Those of the feature, beside ``arrays``."""
        return {key: value for key, value in self.params.items() if key not in ("head", "l2", "seed", "device")}

    def inputs(self, split: Examples) -> np.ndarray:
        """(N, D) float32."""
        return feature(self.feature)(split, **self.feature_params, **self.arrays)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        self.head.save(dir / "head.npz")
        np.savez(dir / "arrays.npz", allow_pickle=False, **self.arrays)

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        model._head = LinearHead.load(dir / "head.npz")
        with np.load(dir / "arrays.npz", allow_pickle=False) as saved:
            model.arrays = dict(saved)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        graph = f"{self.name}.onnx"
        self.head.to_onnx(dir / graph)
        member: dict[str, Any] = {
            "name": self.name,
            "weight": 1,
            "feature": self.feature,
            "params": self.feature_params,
        }
        if self.arrays:
            member["arrays"] = f"{self.name}.npz"
            np.savez(dir / member["arrays"], allow_pickle=False, **self.arrays)
        return [{**member, "graph": graph}]
