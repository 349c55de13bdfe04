"""Extremely randomised trees (Geurts, Ernst & Wehenkel 2006): strong on small tables, and there at once.

Regression trees on the 0/1 labels: a leaf holds the share of each class, so that single- and multi-label tables are
the same thing, and the squared error of all outputs is the Gini impurity; rare classes, which the score counts like
any other, are given more say in it.  The leaves are pulled towards the nodes
above them (Agarwal et al. 2022, "Hierarchical shrinkage"), so that a rare class is ranked outside its own leaves too.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.tree._tree import Tree

from automl_engine.dataset.examples import Examples
from automl_engine.features.tabular import tabular_values
from automl_engine.models.base import AnytimeModel
from automl_engine.spec import Spec

TREES = [30, 200]
SAMPLE = 50_000
MAX_SHARES = 4_000_000  # leaves times classes, about; bounds the size of the exported graph


@dataclass(frozen=True)
class Forest:
    """All nodes of all trees in one list; an example goes left where value <= threshold."""

    roots: np.ndarray  # (T,) int32
    features: np.ndarray  # (M,) int32, -1 in a leaf
    thresholds: np.ndarray  # (M,) float32
    left: np.ndarray  # (M,) int32
    right: np.ndarray  # (M,) int32
    missing_left: np.ndarray  # (M,) bool
    values: np.ndarray  # (M, K) float32

    @classmethod
    def from_sklearn(cls, model: ExtraTreesRegressor) -> Self:
        trees = [estimator.tree_ for estimator in model.estimators_]
        roots = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        threshold = np.concatenate([tree.threshold for tree in trees])
        single = threshold.astype(np.float32)  # values are float32: round down, and each stays on its side
        left = np.concatenate([tree.children_left + root for tree, root in zip(trees, roots, strict=True)])
        right = np.concatenate([tree.children_right + root for tree, root in zip(trees, roots, strict=True)])
        return cls(
            roots.astype(np.int32),
            np.concatenate([np.where(tree.children_left < 0, -1, tree.feature) for tree in trees]).astype(np.int32),
            np.where(single > threshold, np.nextafter(single, np.float32(-np.inf)), single),
            left.astype(np.int32),
            right.astype(np.int32),
            np.concatenate([tree.missing_go_to_left for tree in trees]).astype(bool),
            np.concatenate([tree.value[:, :, 0] for tree in trees]).astype(np.float32),
        )

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """(N, F) float32 -> (N, K) float32, the mean over trees."""
        chunks = [self._predict(inputs[at : at + 1000]) for at in range(0, len(inputs) or 1, 1000)]
        return np.concatenate(chunks)

    def _predict(self, inputs: np.ndarray) -> np.ndarray:
        rows = np.arange(len(inputs))[:, None]
        at = np.tile(self.roots, (len(inputs), 1))  # (N, T)
        while (inner := self.features[at] >= 0).any():
            value = inputs[rows, self.features[at]]
            left = np.where(np.isnan(value), self.missing_left[at], value <= self.thresholds[at])
            at = np.where(inner, np.where(left, self.left[at], self.right[at]), at)
        return self.values[at].mean(1, dtype=np.float64).astype(np.float32)

    def to_onnx(self, path: Path) -> None:
        """Input ``features`` (N, F) float32, output ``probabilities`` (N, K): one TreeEnsembleRegressor."""
        from onnx import AttributeProto, TensorProto, checker, helper, save

        width = self.values.shape[1]
        node = helper.make_node(
            "TreeEnsembleRegressor", ["features"], ["probabilities"], domain="ai.onnx.ml", n_targets=width
        )
        for name, values in self._onnx_attributes().items():
            # Filled by hand, since make_attribute checks each of millions of numbers.
            if values.dtype.kind == "f":
                attribute = AttributeProto(name=name, type=AttributeProto.FLOATS, floats=values.tolist())
            elif values.dtype.kind == "S":
                attribute = AttributeProto(name=name, type=AttributeProto.STRINGS, strings=values.tolist())
            else:
                attribute = AttributeProto(name=name, type=AttributeProto.INTS, ints=values.tolist())
            node.attribute.append(attribute)
        graph = helper.make_graph(
            [node],
            "forest",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", "f"])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", width])],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        checker.check_model(model)
        save(model, path)

    def _onnx_attributes(self) -> dict[str, np.ndarray]:
        """The node lists of the operator; only the leaves' non-zero shares are written."""
        leaf = self.features < 0
        tree_of = np.repeat(np.arange(len(self.roots)), np.diff(np.append(self.roots, len(leaf))))
        first = self.roots[tree_of]
        node_of = np.arange(len(leaf)) - first
        at, target = np.nonzero(self.values * leaf[:, None])
        return {
            "nodes_treeids": tree_of,
            "nodes_nodeids": node_of,
            "nodes_featureids": np.maximum(self.features, 0),
            "nodes_values": np.where(leaf, np.float32(0), self.thresholds),
            "nodes_modes": np.where(leaf, b"LEAF", b"BRANCH_LEQ"),
            "nodes_truenodeids": np.where(leaf, 0, self.left - first),
            "nodes_falsenodeids": np.where(leaf, 0, self.right - first),
            "nodes_missing_value_tracks_true": self.missing_left.astype(np.int64),
            "target_treeids": tree_of[at],
            "target_nodeids": node_of[at],
            "target_ids": target,
            "target_weights": self.values[at, target] / np.float32(len(self.roots)),
        }


def shrink(tree: Tree, strength: float) -> None:
    """Each step from a node to its child is divided by 1 + strength / (examples in the node)."""
    values = tree.value  # (nodes, K, 1), the tree's own memory
    steps = values.copy()
    inner = np.array([0])
    while len(inner):
        inner = inner[tree.children_left[inner] >= 0]
        share = 1 / (1 + strength / tree.n_node_samples[inner])[:, None, None]
        for children in (tree.children_left[inner], tree.children_right[inner]):
            values[children] = values[inner] + (steps[children] - steps[inner]) * share
        inner = np.concatenate([tree.children_left[inner], tree.children_right[inner]])


class TabularForest(AnytimeModel):
    """Grows the forest step by step.  Params: ``trees``, how many after each step; ``shrinkage``; ``seed``."""

    name: ClassVar[str] = "tabular_forest"

    forest: Forest
    _model: ExtraTreesRegressor | None = None

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        sizes = self.params.get("trees", TREES)
        if self._model is None:
            self._start(split)
        assert self._model is not None
        target = next(size for size in sizes if size > self._model.n_estimators)
        stop_at = time.monotonic() + min(8.0, 0.2 * remaining_time_budget)
        while (count := self._model.n_estimators) < target:
            self._model.set_params(n_estimators=min(target, count + 10))
            self._model.fit(self._inputs, self._labels)
            for estimator in self._model.estimators_[count:]:
                shrink(estimator.tree_, self.params.get("shrinkage", 3.0))
                estimator.tree_.value[...] /= self._loudness[:, None]
            if time.monotonic() > stop_at:
                target = sizes[-1]
                break
        self.forest = Forest.from_sklearn(self._model)
        self.done_training = target == sizes[-1]

    def _start(self, split: Examples) -> None:
        seed = self.params.get("seed", 0)
        rows = np.sort(np.random.default_rng(seed).permutation(len(split))[:SAMPLE])
        self._inputs, labels = tabular_values(split)[rows], split.labels[rows]
        share = labels.mean(0).clip(1 / len(rows), 1 - 1 / len(rows))
        self._loudness = (share * (1 - share)) ** -0.25
        self._labels = labels * self._loudness
        width = self._inputs.shape[1]
        self._model = ExtraTreesRegressor(
            n_estimators=0,
            max_features=max(int(width**0.5), min((width + 1) // 2, 50)),
            min_samples_leaf=max(2, self._labels.size * self.params.get("trees", TREES)[-1] // MAX_SHARES),
            warm_start=True,
            n_jobs=-1,
            random_state=seed,
        )

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        inputs = tabular_values(split)
        if self._model is None or not len(inputs):  # loaded from disk
            return self.forest.predict(inputs)
        return self._model.predict(inputs).reshape(len(inputs), -1).astype(np.float32)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        np.savez(dir / "forest.npz", **{field.name: getattr(self.forest, field.name) for field in fields(Forest)})

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        with np.load(dir / "forest.npz", allow_pickle=False) as saved:
            model.forest = Forest(**saved)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        graph = f"{self.name}.onnx"
        self.forest.to_onnx(dir / graph)
        return [{"name": self.name, "weight": 1, "feature": "tabular_values", "params": {}, "graph": graph}]
