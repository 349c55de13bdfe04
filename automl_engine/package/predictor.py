"""The exported model: features and graphs, averaged; no torch, no tensorflow (docs/formats.md, "A model").

This file is both the engine's ``predict`` command and, copied into ``model.zip``, the heart of ``predict.py``.
"""

from __future__ import annotations

import csv
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.errors import DataError
from automl_engine.features import feature
from automl_engine.files import atomic_write

if TYPE_CHECKING:
    from formatters.base import NewData

BATCH_SIZE = 256


@dataclass(frozen=True)
class Predicted:
    """How many files or rows were answered, and what of the input could not be read, in sentences."""

    count: int
    notes: list[str]


class Predictor:
    """Reads ``predictor.json`` and its graphs from ``dir``; call it with Examples."""

    def __init__(self, dir: Path) -> None:
        self.description: dict[str, Any] = json.loads((dir / "predictor.json").read_text(encoding="utf-8"))
        self.labels: list[str] = self.description["labels"]
        self.multi_label: bool = self.description["output"] == "sigmoid"
        self._members = [_Member(dir, member) for member in self.description["members"]]

    def __call__(self, examples: Examples) -> np.ndarray:
        """(N, K) float64 probabilities: the weighted mean over members."""
        out = np.zeros((len(examples), len(self.labels)))
        for start in range(0, len(examples), BATCH_SIZE):
            batch = examples.subset(range(start, min(start + BATCH_SIZE, len(examples))))
            out[start : start + BATCH_SIZE] = sum(member(batch) * member.weight for member in self._members)
        return out / sum(np.broadcast_to(member.weight, out.shape[1:]) for member in self._members)

    def names(self, probabilities: np.ndarray) -> list[str]:
        """The predicted label of each row; several, joined by ``;``, where an example can have many."""
        if self.multi_label:
            return [";".join(self.labels[k] for k in np.flatnonzero(row >= 0.5)) for row in probabilities]
        return [self.labels[k] for k in probabilities.argmax(1)]


class _Member:
    """One feature with the graph or booster behind it."""

    def __init__(self, dir: Path, member: dict[str, Any]) -> None:
        self.weight = np.asarray(member["weight"], np.float64)
        self._extract = feature(member["feature"])
        self._params = dict(member.get("params", {}))
        if member.get("arrays"):
            with np.load(dir / member["arrays"], allow_pickle=False) as arrays:
                self._params |= {key: arrays[key] for key in arrays.files}
        self._run = _onnx(dir / member["graph"]) if member.get("graph") else _booster(dir / member["booster"])

    def __call__(self, examples: Examples) -> np.ndarray:
        values = self._extract(examples, **self._params)
        return self._run(*(values if isinstance(values, tuple) else (values,)))


def _onnx(path: Path) -> Callable[..., np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]

    def run(*inputs: np.ndarray) -> np.ndarray:
        return session.run(None, dict(zip(names, inputs, strict=True)))[0]

    return run


def _booster(path: Path) -> Callable[..., np.ndarray]:
    """Of the library that the suffix tells; several of LightGBM (one a label) stand in a JSON list beside it."""
    if path.suffix in (".cbm", ".ubj"):
        return (_catboost if path.suffix == ".cbm" else _xgboost)(path)
    import lightgbm

    files = [path] if path.suffix == ".txt" else [path.parent / name for name in json.loads(path.read_text())]
    boosters = [lightgbm.Booster(model_file=str(file)) for file in files]

    def run(inputs: np.ndarray) -> np.ndarray:
        outputs = [np.asarray(booster.predict(inputs)) for booster in boosters]
        if len(outputs) > 1 or outputs[0].ndim == 2:
            return outputs[0] if outputs[0].ndim == 2 else np.stack(outputs, 1)
        return np.stack([1 - outputs[0], outputs[0]], 1)

    return run


def _catboost(path: Path) -> Callable[..., np.ndarray]:
    import catboost

    booster = catboost.CatBoost().load_model(str(path))
    return lambda inputs: booster.predict(inputs, prediction_type="Probability")


def _xgboost(path: Path) -> Callable[..., np.ndarray]:
    import xgboost

    booster = xgboost.Booster(model_file=path)
    return lambda inputs: booster.inplace_predict(inputs).reshape(len(inputs), -1)


def predict(dir: Path, source: Path, out: Path) -> Predicted:
    """Raw data -> CSV ``name,prediction,<probability a label>``, a row for each file or row in the order of the input.

    Where something could not be read, the last column, ``problem``, says why; what could not be read at all has neither
    prediction nor probabilities.

    Args:
        dir: the unpacked ``model.zip``.
        source: a file, a folder, a zip or a table of new raw data, without labels.

    Raises:
        DataError: the source cannot be read as data of this model's kind.
    """
    _check(source, out)
    return _predict(*_load(dir), source, out)


def _check(source: Path, out: Path) -> None:
    if not source.exists():
        raise DataError(f"{source} does not exist; give the path of a file or folder with new data.")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise DataError(f"{out} cannot be written; give the name of a CSV in a folder that exists.")


def _load(dir: Path) -> tuple[Predictor, dict[str, Any]]:
    """The predictor and its recipe, which need no file of the folder any more."""
    from formatters import recipe

    return Predictor(dir / "model"), recipe.load(dir / "recipe.json")


def _predict(predictor: Predictor, how: dict[str, Any], source: Path, out: Path) -> Predicted:
    from formatters import recipe

    new = recipe.encode(how, source)
    probabilities = predictor(new.examples)
    answers = iter(zip(predictor.names(probabilities), probabilities.tolist(), strict=True))
    nothing: tuple[str, list[float]] = ("", [])
    rows = [nothing if content is None else next(answers) for content in new.contents]
    write_csv(out, predictor.labels, new.names, rows, new.problems)
    return Predicted(len(probabilities), _notes(new))


def _notes(new: NewData) -> list[str]:
    """What could not be read in all, and then what the formatter found."""
    unread = [at for at, content in enumerate(new.contents) if content is None]
    if not unread:
        return new.notes
    what = f"{len(unread):,} of {len(new.names):,} inputs could not be read and have no prediction"
    return [f"{what}; the first is {new.names[unread[0]]}: {new.problems[unread[0]]}", *new.notes]


def write_csv(
    out: Path, labels: list[str], names: list[str], rows: Sequence[tuple[str, list[float]]], problems: dict[int, str]
) -> None:
    """Atomic; probabilities with 9 significant digits, empty cells where a row has none."""
    with atomic_write(out) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "prediction", *labels, *(["problem"] if problems else [])])
        for at, (name, (label, values)) in enumerate(zip(names, rows, strict=True)):
            cells = [f"{value:.9g}" for value in values] or [""] * len(labels)
            writer.writerow([name, label, *cells, *([problems.get(at, "")] if problems else [])])


def predict_zip(model_zip: Path, source: Path, out: Path) -> Predicted:
    """``predict`` from a packed model; only its data files are unpacked, none of its code is run."""
    model = load_zip(model_zip)
    _check(source, out)
    return _predict(*model, source, out)


def load_zip(model_zip: Path) -> tuple[Predictor, dict[str, Any]]:
    """The predictor and its recipe.

    Raises:
        DataError: it is no packed model.
    """
    try:
        return _load_zip(model_zip, model_zip.stat().st_mtime_ns)
    except (FileNotFoundError, IsADirectoryError, zipfile.BadZipFile):
        raise DataError(f"{model_zip} is no model.zip; give the file that an export wrote.") from None


@lru_cache(maxsize=1)  # for a process that answers several times (resident.py)
def _load_zip(model_zip: Path, changed_ns: int) -> tuple[Predictor, dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(model_zip) as archive:
        wanted = [name for name in archive.namelist() if name.startswith("model/") or name == "recipe.json"]
        archive.extractall(temporary, wanted)
        return _load(Path(temporary))
