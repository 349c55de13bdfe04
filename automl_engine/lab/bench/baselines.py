"""Baselines: short scikit-learn programs that everybody would try first, under the same clock and reader as our engine.

A program is a way to read a modality into something that scikit-learn takes, and the estimators to try on it; it
predicts once.  Multi-label tasks are learned one class against the rest.  ``TUNED`` is what patience gets
with the same tools: the best of many candidates by cross-validation on the training examples.  The child process of
such a run (``BASELINE_CHILD``) is the engine's own, with this one model more.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.lab.bench import BASELINE
from automl_engine.models.base import AnytimeModel, is_multi_label

TUNED = "baseline_tuned"
SIDE_PX, FRAMES = 32, 8
TREES = 200
FOLDS = 3
SEARCH_SHARE = 0.6
"""Fraction of the remaining time for cross-validation; the rest is for the last fit and the prediction."""
WORDS = {"token_pattern": r"(?u)\b\w+\b"}  # the default leaves out words of one character: all of a Chinese text
FEW_VALUES = 12  # a column of so few whole numbers is taken for categories
_IMPORTS = ("compose", "ensemble", "feature_extraction.text", "impute", "linear_model", "model_selection")
_MORE_IMPORTS = ("calibration", "multiclass", "naive_bayes", "neighbors", "pipeline", "preprocessing", "svm")

Inputs = np.ndarray | list[str]
Estimator = Any
"""Of scikit-learn, with ``predict_proba``."""


class Program(NamedTuple):
    """Read, then fit the (best of the) candidates."""

    read: Callable[[Examples], Inputs]
    candidates: Callable[[int], list[Estimator]]
    """Of a seed."""


class Baseline(AnytimeModel):
    """One program of ``BASELINES``, called by its name."""

    name = BASELINE

    def __init__(self, spec: Spec, program: str, seed: int = 0, device: str = "cpu", **params: Any) -> None:
        super().__init__(spec, program=program, seed=seed, **params)
        self._why = ""
        self._fitted: tuple[Program, Estimator] | None = None
        for module in _IMPORTS + _MORE_IMPORTS:  # not on the clock, as for every model
            import_module(f"sklearn.{module}")
        import_module("lightgbm")

    @property
    def why(self) -> str:
        return self._why

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        from automl_engine.dataset.modality import modality

        end = time.monotonic() + SEARCH_SHARE * remaining_time_budget
        kind, programs = modality(split)[0], BASELINES[self.params["program"]]
        if kind not in programs:
            raise DataError(f"{self.params['program']} knows {', '.join(programs)} but these data are {kind}.")
        program = programs[kind]
        inputs, labels = program.read(split), split.labels > 0.5
        candidates = program.candidates(self.params["seed"])
        if is_multi_label(split.labels):
            from sklearn.multiclass import OneVsRestClassifier

            candidates = [OneVsRestClassifier(candidate) for candidate in candidates]
            targets = labels.astype(int)
        else:
            targets = labels.argmax(1)
        self._why, estimator = best_of(candidates, inputs, targets, end)
        self._fitted = program, estimator.fit(inputs, targets)
        self.done_training = True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        assert self._fitted, "train comes first"
        program, estimator = self._fitted
        shares = np.zeros((len(split), split.spec.output_dim))
        shares[:, np.asarray(estimator.classes_, int)] = estimator.predict_proba(program.read(split))
        return shares


def best_of(candidates: Sequence[Estimator], inputs: Inputs, targets: np.ndarray, end: float) -> tuple[str, Estimator]:
    """The candidate of the best NAUC over cross-validated predictions, and why; the only one, untried.

    Args:
        targets: (N,) classes, or (N, K) of 0 and 1.
        end: on the monotonic clock; what would not be done by then is not begun.
    """
    from sklearn.model_selection import cross_val_predict

    from automl_engine.dataset.metrics import nauc

    if len(candidates) == 1:
        return "the only candidate", candidates[0]
    truth = targets if targets.ndim == 2 else (targets[:, None] == np.unique(targets)).astype(int)
    naucs: list[float] = []
    longest_s = 0.0
    for candidate in candidates:
        start = time.monotonic()
        if naucs and start + longest_s > end:
            break
        shares = cross_val_predict(candidate, inputs, targets, cv=FOLDS, n_jobs=-1, method="predict_proba")
        naucs.append(nauc(truth, shares))
        longest_s = max(longest_s, time.monotonic() - start)
    best = int(np.argmax(naucs))
    told = " ".join(str(candidates[best]).split())
    return f"cross-validated NAUC {naucs[best]:.3f}, the best of {len(naucs)} candidates: {told}", candidates[best]


# How a modality is read


def pixels(examples: Examples) -> np.ndarray:
    """(N, D): small pictures; of a video the mean of some frames."""
    frames = 1 if examples.spec.domain == "image" else FRAMES
    return examples.images(SIDE_PX, SIDE_PX, frames).mean(1, dtype=np.float32).reshape(len(examples), -1) / 255


def mel_moments(examples: Examples) -> np.ndarray:
    """(N, D): mean and deviation over time of a log-mel spectrum."""
    from automl_engine.features.audio import log_mel

    spectra = [log_mel(sound.ravel()) for sound in examples.arrays()]
    return np.stack([np.concatenate([spectrum.mean(0), spectrum.std(0)]) for spectrum in spectra])


def documents(examples: Examples) -> list[str]:
    """Texts with a blank after each token (in Chinese: each character)."""
    words = examples.spec.vocabulary
    return [" ".join(words.get(int(token), "") for token in text.ravel()) for text in examples.arrays()]


def cells(examples: Examples) -> np.ndarray:
    """(N, F), NaN where missing."""
    from automl_engine.features.tabular import tabular_values

    return tabular_values(examples)


def _aligned(examples: Examples) -> np.ndarray:
    """(N, C, T): stretched to one length, gaps filled."""
    from automl_engine.features.timeseries import same_length

    return same_length(examples, max(100, examples.spec.sequence_size))


def flat(examples: Examples) -> np.ndarray:
    """(N, C * T)."""
    return _aligned(examples).reshape(len(examples), -1)


def moments(examples: Examples) -> np.ndarray:
    """(N, 5 * C): mean, deviation, range and restlessness of each channel."""
    series = _aligned(examples)
    restless = np.abs(np.diff(series)).mean(2)
    return np.concatenate([series.mean(2), series.std(2), series.min(2), series.max(2), restless], axis=1)


# What is fitted


def forest(seed: int) -> list[Estimator]:
    from sklearn.ensemble import RandomForestClassifier

    return [RandomForestClassifier(TREES, n_jobs=-1, random_state=seed)]


def boosting(seed: int) -> list[Estimator]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return [HistGradientBoostingClassifier(random_state=seed)]


def logistic(seed: int) -> list[Estimator]:
    """Lightly regularised: for a hundred features and less."""
    return [_scaled_logistic(1.0)]


def logistic_on_pixels(seed: int) -> list[Estimator]:
    return [_scaled_logistic(1e-3)]


def _scaled_logistic(strength: float) -> Estimator:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=200))


def logistic_on_cells(seed: int) -> list[Estimator]:
    from sklearn.linear_model import LogisticRegression

    return [_prepared(LogisticRegression(max_iter=1000))]


def _prepared(estimator: Estimator) -> Estimator:
    """Categories one-hot, numbers scaled, gaps filled."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer([("one-hot", one_hot, _categories), ("scaled", scaled, _numbers)])
    return make_pipeline(columns, estimator)


def _is_category(column: np.ndarray) -> bool:
    known = np.unique(column[~np.isnan(column)])
    return bool(0 < len(known) <= FEW_VALUES and np.array_equal(known, known.round()))


def _categories(values: np.ndarray) -> list[int]:
    return [index for index, column in enumerate(values.T) if _is_category(column)]


def _numbers(values: np.ndarray) -> list[int]:
    return [i for i, column in enumerate(values.T) if not _is_category(column) and not np.isnan(column).all()]


def logistic_on_words(seed: int) -> list[Estimator]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return [make_pipeline(_words(2), LogisticRegression(C=10, max_iter=1000))]


def _words(longest: int) -> Estimator:
    """TF-IDF of runs of 1 to ``longest`` tokens."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(**WORDS, ngram_range=(1, longest), sublinear_tf=True)


def tuned_text(seed: int) -> list[Estimator]:
    """TF-IDF of words, of characters and of both, times the linear models that are known to do well on it."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.naive_bayes import ComplementNB
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.svm import LinearSVC

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    fitted = [
        LogisticRegression(C=10, max_iter=1000),
        CalibratedClassifierCV(LinearSVC(C=0.3, random_state=seed), cv=FOLDS),
        ComplementNB(alpha=0.3),
        SGDClassifier(loss="modified_huber", alpha=1e-4, random_state=seed),
        ComplementNB(alpha=0.03),
        SGDClassifier(loss="log_loss", alpha=1e-5, random_state=seed),
        CalibratedClassifierCV(LinearSVC(C=3, random_state=seed), cv=FOLDS),
        LogisticRegression(C=100, max_iter=1000),
    ]
    read = [_words(2), _words(1), _words(3), letters, make_union(_words(2), letters)]
    cheap_first = [(words, model) for words in read[:2] for model in fitted[:4]]
    rest = [(words, model) for model in fitted for words in read if (words, model) not in cheap_first]
    return [make_pipeline(words, model) for words, model in cheap_first + rest]


def tuned_table(seed: int) -> list[Estimator]:
    """The usual models at their usual settings, then a random search around them."""
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    draw = np.random.default_rng(seed)

    def trees(kind: Callable[..., Estimator]) -> Estimator:
        features, leaf = draw.choice([0.2, 0.4, 0.7]), int(draw.choice([1, 2, 4, 8]))
        return kind(400, max_features=features, min_samples_leaf=leaf, random_state=seed)

    def boosted() -> Estimator:
        return LGBMClassifier(
            num_leaves=int(draw.choice([4, 8, 15, 31])),
            min_child_samples=int(draw.choice([5, 10, 20, 40])),
            learning_rate=float(draw.choice([0.02, 0.05, 0.1])),
            n_estimators=int(draw.choice([50, 100, 200])),
            colsample_bytree=float(draw.choice([0.4, 0.7, 1.0])),
            subsample=0.8,
            subsample_freq=1,
            n_jobs=1,
            random_state=seed,
            verbose=-1,
        )

    found: list[Estimator] = [
        *(_prepared(LogisticRegression(C=strength, max_iter=1000)) for strength in (1, 0.1, 10)),
        RandomForestClassifier(400, random_state=seed),
        ExtraTreesClassifier(400, random_state=seed),
        LGBMClassifier(n_jobs=1, random_state=seed, verbose=-1),
    ]
    for _ in range(100):
        found += [trees(RandomForestClassifier), boosted(), trees(ExtraTreesClassifier), boosted()]
    return found


BASELINES: dict[str, dict[str, Program]] = {
    "baseline_forest": {
        "image": Program(pixels, forest),
        "video": Program(pixels, forest),
        "audio": Program(mel_moments, forest),
        "tabular": Program(cells, forest),
        "timeseries": Program(flat, forest),
    },
    "baseline_logistic": {
        "image": Program(pixels, logistic_on_pixels),
        "video": Program(pixels, logistic_on_pixels),
        "audio": Program(mel_moments, logistic),
        "text": Program(documents, logistic_on_words),
        "tabular": Program(cells, logistic_on_cells),
    },
    "baseline_boosting": {"tabular": Program(cells, boosting)},
    "baseline_statistics": {"timeseries": Program(moments, forest)},
    TUNED: {"text": Program(documents, tuned_text), "tabular": Program(cells, tuned_table)},
}
"""By name and modality."""


def main(arguments: list[str]) -> int:
    """The child process of a baseline's run."""
    from automl_engine.models import MODELS
    from automl_engine.run import ingestion

    MODELS[BASELINE] = "automl_engine.lab.bench.baselines:Baseline"
    return ingestion.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
