"""The challenge's numbers, to the ninth digit, and our own definitions where it has none."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from automl_engine.dataset import metrics
from automl_engine.run import curve, scoring

ROOT = Path(__file__).parents[2]
GOLDEN = Path(os.environ.get("AUTODL_GOLDEN", ROOT.parent / "shared" / "golden" / "scoring.json"))
VECTORS = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {"nauc": [], "alc": [], "end_to_end": []}
needs_golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"no golden vectors at {GOLDEN} (AUTODL_GOLDEN)")


def matrix(rows: list[list[object]]) -> np.ndarray:
    return np.array([[np.nan if x is None else float(x) for x in row] for row in rows])


def names(vector: dict) -> str:
    return vector["name"]


@needs_golden
def test_there_are_vectors() -> None:
    assert len(VECTORS["nauc"]) == 16
    assert len(VECTORS["alc"]) == 15
    assert len(VECTORS["end_to_end"]) == 2


@needs_golden
@pytest.mark.filterwarnings("ignore:every class is constant")
@pytest.mark.parametrize("vector", VECTORS["nauc"], ids=names)
def test_official_nauc(vector: dict) -> None:
    solution, prediction = matrix(vector["solution"]), matrix(vector["prediction"])
    assert scoring.is_single_label(solution) == vector["official_is_multiclass"]
    if np.isnan(prediction).any():
        with pytest.raises(ValueError, match="NaN"):
            metrics.nauc(solution, prediction)
        return
    official = vector["official_nauc"]
    assert metrics.nauc(solution, prediction) == pytest.approx(0 if official is None else official, abs=1e-9)
    valid = np.flatnonzero(~np.isnan(metrics.class_naucs(solution, prediction)))
    assert valid.tolist() == vector["official_valid_columns"]
    soft = scoring.soft_accuracy(solution, prediction)
    if vector["official_accuracy_soft"] is None:
        assert np.isfinite(soft)
    else:
        assert soft == pytest.approx(vector["official_accuracy_soft"], abs=1e-9)


@needs_golden
@pytest.mark.parametrize("vector", VECTORS["alc"], ids=names)
def test_official_alc(vector: dict) -> None:
    """The drawn curve's number, and its error for times that go backwards."""
    arguments = [vector[key] for key in ("relative_timestamps", "nauc_scores", "time_budget", "t0")]
    if "alc_official_plot_error" in vector:
        with pytest.raises(ValueError, match="backwards"):
            curve.alc(*arguments)
        return
    official = vector.get("alc_official_plot", vector["alc_official_scores_txt"])
    assert curve.alc(*arguments) == pytest.approx(official, abs=1e-9)


@needs_golden
@pytest.mark.parametrize("vector", VECTORS["end_to_end"], ids=names)
def test_official_end_to_end(vector: dict) -> None:
    official = dict(line.split(": ", 1) for line in vector["official_scores_txt"].splitlines())
    solution = matrix(vector["solution"])
    naucs = [metrics.nauc(solution, matrix(rows)) for rows in vector["predictions"]]
    assert naucs == pytest.approx(json.loads(official["nauc_scores"]), abs=1e-9)
    area = curve.alc(vector["relative_timestamps"], naucs, vector["time_budget"])
    assert area == pytest.approx(float(official["score"]), abs=1e-9)
    if "accuracy" in official:
        soft = [scoring.soft_accuracy(solution, matrix(rows)) for rows in vector["predictions"]]
        assert soft == pytest.approx(json.loads(official["accuracy"]), abs=1e-9)


SOLUTION = np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]])
PREDICTION = np.array([[0.8, 0.1, 0.9], [0.3, 0.6, 0.1], [0.2, 0.7, 0.5], [0.1, 0.8, 0.5]])


def test_typed_in_official_numbers() -> None:
    """A few official numbers that are checked even without the shared file."""
    assert metrics.nauc(SOLUTION, PREDICTION) == pytest.approx(0.5, abs=1e-12)
    assert scoring.soft_accuracy(SOLUTION, PREDICTION) == pytest.approx(0.43968253968253934, abs=1e-12)
    assert curve.alc([60.0], [0.8]) == pytest.approx(0.6178638010424377, abs=1e-12)
    assert curve.alc([10.0, 300.0], [0.5, 0.9]) == pytest.approx(0.6392763088984135, abs=1e-12)
    assert curve.alc([10.0, 300.0], [0.5, 0.9], t0_s=20) == pytest.approx(0.5809028721649214, abs=1e-12)
    assert curve.alc([100.0, 1300.0], [0.5, 0.9]) == pytest.approx(0.33891903031183557, abs=1e-12)
    assert curve.alc([], []) == 0


def test_constant_classes_give_zero_and_a_warning() -> None:
    with pytest.warns(UserWarning, match="every class is constant"):
        assert metrics.nauc(np.array([[1.0, 0], [1, 0]]), np.array([[0.9, 0.1], [0.8, 0.2]])) == 0


def test_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(4, 3\) but got \(4, 2\)"):
        metrics.nauc(SOLUTION, PREDICTION[:, :2])


def test_step_curve_drops_late_points_and_holds_the_last() -> None:
    x, y = curve.step_curve([0.0, 60.0, 1201.0], [0.2, 0.5, 0.9])
    assert x == pytest.approx([0, 0, np.log(2) / np.log(21), 1])
    assert y == [0, 0.2, 0.5, 0.5]


def test_nauc_agrees_with_scikit_learn_on_many_ties() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth = np.eye(4)[rng.integers(0, 4, 300)]
    scores = rng.integers(0, 7, (300, 4)).astype(float)
    assert metrics.nauc(truth, scores) == pytest.approx(
        2 * roc_auc_score(truth, scores, average="macro") - 1, abs=1e-12
    )


def test_average_rank() -> None:
    ranks = scoring.average_rank(np.array([[0.9, 0.5, 0.5], [0.2, 0.7, np.nan]]))
    assert ranks.tolist() == [1.5, 1.75, 2.75]


def test_wilson_interval() -> None:
    """Numbers of Newcombe 1998, Statistics in Medicine 17, table I."""
    assert scoring.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert scoring.wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


def test_explain_single_label() -> None:
    results = scoring.explain(SOLUTION, PREDICTION, ["a", "b", "c"], k=3)
    assert (results["k"], results["task"], results["n_test"]) == (3, "single_label", 4)
    assert results["accuracy"]["right"] == 2
    assert results["confusion"] == [[0, 1, 1], [0, 2, 0], [0, 0, 0]]
    assert [c["nauc"] for c in results["classes"]] == [0.5, 0.5, None]
    assert results["classes"][0] | {"nauc": 0} == {"label": "a", "n": 2, "nauc": 0, "precision": None, "recall": 0.0}
    mistakes = {m["index"]: (m["true"], m["predicted"]) for m in results["mistakes"]}
    assert mistakes == {0: (["a"], ["c"]), 2: (["a"], ["b"])}
    assert [m["confidence"] for m in results["mistakes"]] == pytest.approx([0.5, 0.5])
    assert [sample["right"] for sample in results["samples"]] == [False, True, False, True]
    json.dumps(results, allow_nan=False)


def test_explain_multi_label() -> None:
    solution = np.array([[1.0, 1], [0, 0], [1, 0]])
    prediction = np.array([[0.9, 0.2], [0.1, 0.4], [0.8, 0.3]])
    results = scoring.explain(solution, prediction, ["a", "b"], k=0)
    assert results["task"] == "multi_label"
    assert results["confusion"] is None
    assert (results["accuracy"]["right"], results["accuracy"]["n"]) == (5, 6)
    assert [sample["right"] for sample in results["samples"]] == [False, True, True], "all labels, not only the first"
    assert results["mistakes"] == [
        {"index": 0, "true": ["a", "b"], "predicted": ["a"], "confidence": pytest.approx(0.8)}
    ]


def test_explain_survives_infinite_and_negative_scores() -> None:
    results = scoring.explain(SOLUTION, np.where(PREDICTION > 0.7, np.inf, -PREDICTION), ["a", "b", "c"], k=0)
    json.dumps(results, allow_nan=False)


def test_many_classes_are_scored_in_seconds() -> None:
    """1,000 classes, 2,000 rows; a product of integer matrices took minutes for the 10,000 rows of a large set."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 1000, 2000)
    prediction = rng.random((2000, 1000))
    prediction[np.arange(2000), classes] += 0.5
    began_s = time.process_time()
    told = scoring.explain(np.eye(1000)[classes], prediction, [str(c) for c in range(1000)], 0)
    assert time.process_time() - began_s < 5
    assert told["confusion"] is None
    assert told["nauc"] == pytest.approx(0.75, abs=0.02)  # P(u + 1/2 > v) = 7/8


def test_confusion_counts_rows_by_truth_and_answer() -> None:
    solution, answer = np.eye(3)[[0, 0, 1, 2]], np.eye(3)[[0, 1, 1, 1]]
    assert scoring.explain(solution, answer, list("abc"), 0)["confusion"] == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
