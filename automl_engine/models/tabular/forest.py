"""Extremely randomised trees (Geurts, Ernst & Wehenkel 2006) on a table, or on fixed features of other data.

Regression trees on the 0/1 labels: a leaf holds the share of each class, so that single- and multi-label tables are
the same thing, and the squared error of all outputs is the Gini impurity; rare classes, which the score counts like
any other, are given more say in it.  The leaves are pulled towards the nodes
above them (Agarwal et al. 2022, "Hierarchical shrinkage"), so that a rare class is ranked outside its own leaves too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.tree import ExtraTreeRegressor
from sklearn.tree._tree import Tree

from automl_engine import clock
from automl_engine.dataset.decode import CORES
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.memory import feature_limit_bytes
from automl_engine.dataset.spec import Spec
from automl_engine.features import feature
from automl_engine.models.base import AnytimeModel
from automl_engine.models.shared.graphs import Graph

TREES = [30, 200]
LONGEST_SHARE = 0.2
"""Fraction of the remaining time that one step may take."""
SMALL = 100_000
"""Cells of a table below which one thread works: several would wait for each other longer than they work."""
TOGETHER = 8
"""Number of trees that are grown between two looks at the clock."""
PART = 4096
"""Number of examples whose features are extracted, and that are predicted, at once."""
TREE_ROWS, TREE_CELLS = 50_000, 5_000_000
"""Rows and cells of a table beyond which each tree learns from a sample of its own."""
OWN_PARAMS = ("trees", "min_leaf", "shrinkage", "looked_at", "seed", "device")
MAX_SHARES = 4_000_000
"""Number of leaves times classes of a forest, about: it bounds the size of the exported graph."""


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
    def from_trees(cls, trees: Sequence[Tree]) -> Self:
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
        graph, width = Graph(features=(np.float32, ["n", "f"])), self.values.shape[1]
        attributes = self._onnx_attributes()
        graph.add("TreeEnsembleRegressor", "features", domain="ai.onnx.ml", n_targets=width, **attributes)
        graph.save(path, width)

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


class FeatureForest(AnytimeModel):
    """Grows the forest step by step, tree by tree, for as long as there is time.

    Params: ``trees``, how many after each step; ``min_leaf``, rows; ``shrinkage``; ``looked_at``, the fraction of the
    columns that a split chooses from (by default the root of their number); ``seed``; the others go to the feature.
    """

    feature: ClassVar[str]

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self._inputs, self._labels = np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32)
        self._loudness = np.ones(0)
        """(K,) factors of the classes; rare ones are louder."""
        self._trees: tuple[ExtraTreeRegressor, ...] = ()
        self._forest: Forest | None = None

    @property
    def forest(self) -> Forest:
        assert self._forest is not None, "train comes first"
        return self._forest

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        sizes = self.params.get("trees", TREES)
        stop_at = clock.now_s() + LONGEST_SHARE * remaining_time_budget
        if not self._trees:
            self._read(split, clock.now_s() + LONGEST_SHARE / 2 * remaining_time_budget)
        target = next(size for size in sizes if size > len(self._trees))
        self._grow(target, stop_at)
        with clock.work("join trees", lambda: {"numbers": self.forest.values.size + 6 * len(self.forest.features)}):
            self._forest = Forest.from_trees([tree.tree_ for tree in self._trees])
        self.done_training = len(self._trees) < target or target == sizes[-1]

    @property
    def feature_params(self) -> dict[str, Any]:
        return {key: value for key, value in self.params.items() if key not in OWN_PARAMS}

    def inputs(self, split: Examples) -> np.ndarray:
        """(N, F) float32."""
        return feature(self.feature)(split, **self.feature_params)

    def _read(self, split: Examples, stop_at: float) -> None:
        """Examples in random order, as many as there is time and memory for."""
        order = np.random.default_rng(self.params.get("seed", 0)).permutation(len(split))
        order = order if len(order) > PART else np.arange(len(order))
        parts: list[np.ndarray] = []
        for at in range(0, len(order), PART):
            parts.append(self.inputs(split.subset(order[at : at + PART])))
            if clock.now_s() > stop_at or sum(part.nbytes for part in parts) > feature_limit_bytes():
                break
        self._inputs = np.concatenate(parts)
        self._labels = split.labels[order[: len(self._inputs)]]
        share = self._labels.mean(0).clip(1 / (len(split) + 1), 1 - 1 / (len(split) + 1))
        self._loudness = (share * (1 - share)) ** -0.25

    @property
    def _column_count(self) -> int:
        """That a split chooses from."""
        width = self._inputs.shape[1]
        return max(1, round(self.params.get("looked_at", width**-0.5) * width))

    def _grow(self, target: int, stop_at: float) -> None:
        """Up to ``target`` trees; some are grown together, and none are begun after ``stop_at`` but the first."""
        is_small = self._inputs.size < SMALL
        with ThreadPoolExecutor(1 if is_small else CORES) as pool:
            while len(self._trees) < target and (not self._trees or clock.now_s() < stop_at):
                begun = len(self._trees)
                numbers = range(begun, min(target, begun + (TOGETHER if begun else 1)))
                with clock.work("trees", partial(self._amounts, begun)):
                    self._trees += tuple((map if is_small else pool.map)(self._tree, numbers))

    def _amounts(self, begun: int) -> dict[str, float]:
        """For the clock, of the trees from this one on: nodes, and how often an example was looked at for a split."""
        trees = [tree.tree_ for tree in self._trees[begun:]]
        looks = sum(float(tree.n_node_samples.sum()) for tree in trees) * self._column_count
        return {"trees": len(trees), "nodes": sum(tree.node_count for tree in trees), "looks": looks}

    def _tree(self, number: int) -> ExtraTreeRegressor:
        """A tree on all rows, or on some of a large table, others for each tree."""
        seed = [self.params.get("seed", 0), number]
        inputs, labels = self._inputs, self._labels
        row_count = min(len(inputs), max(1000, min(TREE_ROWS, TREE_CELLS // inputs.shape[1])))
        if row_count < len(inputs):
            rows = np.sort(np.random.default_rng(seed).choice(len(inputs), row_count, replace=False))
            inputs, labels = inputs[rows], labels[rows]
        tree_count = self.params.get("trees", TREES)[-1]
        grown = ExtraTreeRegressor(
            max_features=self._column_count,
            min_samples_leaf=max(self.params.get("min_leaf", 1), labels.size * tree_count // MAX_SHARES),
            random_state=int(np.random.SeedSequence(seed).generate_state(1)[0]),
        ).fit(inputs, labels * self._loudness)
        shrink(grown.tree_, self.params.get("shrinkage", 3.0))
        grown.tree_.value[...] /= self._loudness[:, None]
        return grown

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        parts = (split.subset(np.arange(at, min(at + PART, len(split)))) for at in range(0, len(split) or 1, PART))
        return np.concatenate([self._predict(self.inputs(part)) for part in parts])

    def _predict(self, inputs: np.ndarray) -> np.ndarray:
        if not self._trees or not len(inputs):  # loaded from disk
            return self.forest.predict(inputs)
        visits = len(inputs) * len(self._trees)
        with clock.work("ask trees", trees=len(self._trees), visits=visits, scores=visits * len(self._loudness)):
            if inputs.size < SMALL:
                return self._ask(inputs)
            with ThreadPoolExecutor(CORES) as pool:
                return np.concatenate(list(pool.map(self._ask, np.array_split(inputs, CORES))))

    def _ask(self, inputs: np.ndarray) -> np.ndarray:
        """(N, F) -> (N, K) float32, the mean over trees."""
        total = np.zeros((len(inputs), len(self._loudness)))
        for tree in self._trees:
            total += tree.tree_.predict(inputs)[..., 0]
        return (total / len(self._trees)).astype(np.float32)

    def save(self, dir: Path) -> None:
        (dir / "params.json").write_text(json.dumps(self.params))
        np.savez(dir / "forest.npz", **{field.name: getattr(self.forest, field.name) for field in fields(Forest)})

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        model = cls(spec, **json.loads((dir / "params.json").read_text()))
        with np.load(dir / "forest.npz", allow_pickle=False) as saved:
            model._forest = Forest(**saved)
        return model

    def export(self, dir: Path) -> list[dict[str, Any]]:
        graph = f"{self.name}.onnx"
        self.forest.to_onnx(dir / graph)
        return [
            {"name": self.name, "weight": 1, "feature": self.feature, "params": self.feature_params, "graph": graph}
        ]


class TabularForest(FeatureForest):
    name: ClassVar[str] = "tabular_forest"
    feature: ClassVar[str] = "tabular_values"
