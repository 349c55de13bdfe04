"""Why a model gave its answer: which parts of the input the answer depends on.

    python -m automl_engine why model.zip INPUT -o why.json [--test INDEX]

Occlusion (Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014), which needs nothing
but predictions: parts of the input are hidden one by one (occlusion.py), and a part is as important as the answer's
log-odds fall without it.  It goes from large parts to small ones while the time permits, and averages over the sizes:
large parts find what is told several times, small ones where it is.
"""

from __future__ import annotations

import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.examples import Examples, MemoryExamples, Steps, stored_bytes
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.files import write_json
from automl_engine.package.occlusion import Level, subject_of
from automl_engine.package.predictor import Predictor, load_zip

LIMIT_S = 1.5
"""Time for all predictions with a part hidden, after the model is loaded and has answered once."""
CHUNK_BYTES, CHUNK = 2**26, 256
"""Inputs with a part hidden that are predicted together: as many as fit into both."""
LEAST = 0.5
"""Change of the log-odds that makes a part fully important, unless another part makes a larger one."""
SURE = 1e-6
"""Probabilities nearer to 0 or 1 count as this near."""


def explain_zip(model_zip: Path, source: Path, out: Path, test_index: int | None = None) -> None:
    """Write ``why.json`` (docs/formats.md) for one input.

    Args:
        source: new raw data, of which the first readable item counts; with ``test_index`` the folder of a data set.

    Raises:
        DataError: nothing of the source can be read.
    """
    predictor, recipe = load_zip(model_zip)
    if test_index is None:
        from formatters.recipe import encode

        examples = encode(recipe, source).examples.subset([0])
    else:
        examples = _test_item(source, test_index)
    others = _background(model_zip, model_zip.stat().st_mtime_ns) if recipe["modality"] == "tabular" else None
    write_json(out, explain(predictor, recipe, examples, others))


def _test_item(data_dir: Path, index: int) -> Examples:
    folder = next(data_dir.glob("*.data"), None)
    if folder is None:
        raise DataError(f"{data_dir} holds no NAME.data; give the folder of a data set.")
    examples = open_split(folder, "test")
    if not 0 <= index < len(examples):
        raise DataError(f"There is no test item {index}: the test set has {len(examples)}.")
    return examples.subset([index])


@lru_cache(maxsize=1)
def _background(model_zip: Path, _changed_ns: int) -> Examples | None:
    """The test samples that a model holds; None for a model without them."""
    from formatters.recipe import encode

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(model_zip) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("sample/input/")])
        samples = Path(folder, "sample", "input")
        return encode(load_zip(model_zip)[1], samples).examples if samples.is_dir() else None


def explain(
    predictor: Predictor, recipe: dict[str, Any], examples: Examples, others: Examples | None = None
) -> dict[str, Any]:
    """``why.json`` of the first of these examples; ``others`` are rows whose values a table's cells may take."""
    label = int(predictor(examples).argmax(1)[0])
    subject = subject_of(recipe, examples, others)
    base = _probabilities(predictor, examples.spec, [subject.steps], label)[0]
    measured = _measure(predictor, examples.spec, subject.levels, label)
    level, without = measured[-1]
    weights = _averaged([_log_odds(np.array(base)) - _log_odds(each) for _, each in measured])
    largest = max(LEAST, float(np.abs(weights).max(initial=0)))
    return {
        "version": 1,
        "kind": subject.kind,
        "label": predictor.labels[label],
        "probability": float(base),
        "weights": np.round(weights / largest, 3).tolist(),
        "without": np.round(without, 4).tolist(),
        **subject.about,
        **level.about,
    }


def _measure(predictor: Predictor, spec: Spec, levels: Sequence[Level], label: int) -> list[tuple[Level, np.ndarray]]:
    """The levels that the time permits, at least the first, each with the label's probability without each part."""
    begun_s, seconds_each = time.monotonic(), 0.0
    measured: list[tuple[Level, np.ndarray]] = []
    for level in levels:
        draws = len(level.hidden(0)) if level.count else 1
        inputs = (steps for part in range(level.count) for steps in level.hidden(part))
        level_begun_s = time.monotonic()
        if measured and level_begun_s - begun_s + seconds_each * level.count * draws > LIMIT_S:
            break
        without = _probabilities(predictor, spec, inputs, label).reshape(*level.shape, draws).mean(-1)
        seconds_each = (time.monotonic() - level_begun_s) / max(1, level.count * draws)
        measured.append((level, without))
    return measured


def _averaged(maps: Sequence[np.ndarray]) -> np.ndarray:
    """The mean, in the shape of the last one; the others have fewer parts."""
    shape = maps[-1].shape
    places = [[(2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip(shape, one.shape, strict=True)] for one in maps]
    return np.mean([one[np.ix_(*at)] for one, at in zip(maps, places, strict=True)], axis=0)


def _probabilities(predictor: Predictor, spec: Spec, inputs: Iterable[Steps], label: int) -> np.ndarray:
    answers = [predictor(MemoryExamples(spec.with_count(len(some)), some))[:, label] for some in _chunks(inputs)]
    return np.concatenate([np.zeros(0), *answers])


def _chunks(inputs: Iterable[Steps]) -> Iterator[list[Steps]]:
    some: list[Steps] = []
    size = 0
    for steps in inputs:
        some.append(steps)
        size += stored_bytes(steps)
        if size > CHUNK_BYTES or len(some) == CHUNK:
            yield some
            some, size = [], 0
    if some:
        yield some


def _log_odds(probabilities: np.ndarray) -> np.ndarray:
    sure = np.clip(probabilities, SURE, 1 - SURE)
    return np.log(sure / (1 - sure))
