"""A trained run -> ``model.zip`` that works without us, with a proof that it predicts what the site showed.

    python -m automl_engine export RUN [--data DIR]

The saved model (torch-native, written during the run) becomes graphs for ``predictor.py``; the bundle holds the very
source files that format and predict, so that the download cannot differ from the site.  Then the bundle itself, in a
clean process, predicts raw test samples, and its answers are compared with the run's last prediction.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, files, packages_distributions, version
from importlib.metadata import requires as requirements_of
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.files import atomic_write
from automl_engine.models import model_class
from automl_engine.run.child import launch, reader_limits
from automl_engine.weights import PACKAGES

TOLERANCE = 1e-3
ROOT = Path(__file__).resolve().parents[2]
LIBRARY = (
    "automl_engine/__init__.py",
    "automl_engine/clock.py",
    "automl_engine/errors.py",
    "automl_engine/files.py",
    "automl_engine/package/__init__.py",
    "automl_engine/package/predictor.py",
    "automl_engine/dataset/*.py",
    "automl_engine/features/*.py",
    "formatters/**/*.py",
)
DECODERS = {
    "image": ["opencv-python-headless", "simplejpeg", "pillow"],
    "video": ["opencv-python-headless", "simplejpeg", "pillow", "av"],
    "audio": ["soundfile", "soxr", "av"],
    "text": ["charset-normalizer"],
    "tabular": ["charset-normalizer"],
    "timeseries": ["charset-normalizer"],
}
BOOSTERS = {".ubj": "xgboost-cpu", ".cbm": "catboost"}
"""Packages by the suffix of a booster's file; others are LightGBM's."""
RUN_WITHOUT = """import runpy, sys
sys.modules.update(dict.fromkeys({hidden!r}))  # importing these raises ModuleNotFoundError
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
VERIFY_LIMIT_S = 600
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the same model gives the same bytes


class ParityError(Exception):
    """The bundle doesn't predict what the engine predicted."""


def export(run_dir: Path, data_dir: Path | None = None) -> Path:
    """Write ``run_dir/model.zip`` and return its path; an earlier one stays if this fails.

    Args:
        run_dir: a finished run.
        data_dir: the folder with ``NAME.data`` and ``recipe.json``; by default the one that the run names.

    Raises:
        DataError: the run left no model, or the data set has no recipe.
        ParityError: a probability differs by more than ``TOLERANCE``.
    """
    run_dir = run_dir.resolve()  # the proof runs elsewhere
    if not (run_dir / "run.json").exists():
        raise DataError(f"{run_dir} holds no run; give the folder that python -m automl_engine run wrote.")
    if _read_json(run_dir / "run.json", "").get("model") == "challenge":
        raise DataError("Code for the AutoDL challenge leaves no model to pack; its predictions and scores are kept.")
    saved = _read_json(run_dir / "model" / "model.json", "The run left no model: it made no prediction in time.")
    data_dir = data_dir or Path(
        _read_json(run_dir / "run.json", "The run does not say on which data it ran.")["data_dir"]
    )
    recipe = _read_json(data_dir / "recipe.json", "The data has no recipe.json; convert it with python -m formatters.")
    spec = Spec(**saved["spec"])
    with tempfile.TemporaryDirectory(dir=run_dir, prefix=".export-") as temporary:
        bundle = Path(temporary) / spec.name
        _write_predictor(bundle / "model", run_dir / "model", saved, spec, recipe)
        _write_library(bundle)
        shutil.copy(data_dir / "recipe.json", bundle)
        shutil.copytree(data_dir / "sample", bundle / "sample")
        members = json.loads((bundle / "model" / "predictor.json").read_text())["members"]
        records = any((bundle / "sample").rglob("*.tfrecord"))
        (bundle / "requirements.txt").write_text(requirements(recipe, members, records))
        shutil.copy(ROOT / "LICENSE", bundle)
        (bundle / "labels.txt").write_text("\n".join(recipe["labels"]) + "\n", encoding="utf-8")
        proof = verify(bundle, run_dir / f"{spec.name}.predict_{saved['k']}")
        (bundle / "verify.json").write_text(json.dumps(proof, indent=1))
        _write_card(bundle, run_dir, data_dir, proof, saved["k"])
        return _pack(bundle, run_dir / "model.zip")


def _write_predictor(out: Path, model_dir: Path, saved: dict[str, Any], spec: Spec, recipe: dict[str, Any]) -> None:
    out.mkdir(parents=True)
    model = model_class(saved["model"]).load(model_dir, spec)
    description = {
        "output": "sigmoid" if recipe["multi_label"] else "softmax",
        "labels": spec.labels,
        "spec": saved["spec"],
        "members": model.export(out),
    }
    (out / "predictor.json").write_text(json.dumps(description, indent=1, ensure_ascii=False), encoding="utf-8")


def _write_library(bundle: Path) -> None:
    shutil.copy(ROOT / "automl_engine" / "package" / "bundle" / "predict.py", bundle)
    for pattern in LIBRARY:
        for file in sorted(ROOT.glob(pattern)):
            target = bundle / "lib" / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def requirements(recipe: dict[str, Any], members: list[dict[str, Any]], records: bool) -> str:
    """Exact pins of the few packages that the bundle needs, a line each; ``records``: new data comes as TFRecords."""
    packages = ["numpy", *DECODERS.get(recipe["modality"], []), *recipe.get("packages", [])]
    packages += ["google-crc32c"] if records else []
    packages += ["onnxruntime"] if any("graph" in member for member in members) else []
    suffixes = {Path(member["booster"]).suffix for member in members if "booster" in member}
    packages += sorted({BOOSTERS.get(suffix, "lightgbm") for suffix in suffixes}, reverse=True)
    return "".join(f"{package}=={version(package)}\n" for package in packages)


def verify(bundle: Path, prediction_file: Path) -> dict[str, Any]:
    """Run ``predict.py`` on the raw test samples in a clean process and compare with the engine's prediction.

    Returns:
        ``{"samples", "max_difference", "tolerance", "agree"}``

    Raises:
        ParityError: the largest difference exceeds ``TOLERANCE``, or the bundle doesn't run.
    """
    indices = json.loads((bundle / "sample" / "index.json").read_text())
    expected = np.loadtxt(prediction_file, ndmin=2)[indices]
    actual = _predict_apart(bundle)
    if actual.shape != expected.shape:
        raise ParityError(f"The packed model gives {actual.shape} values where the engine gave {expected.shape}.")
    differences = np.abs(actual - expected).max(1)
    proof = {
        "samples": len(indices),
        "agree": int((differences <= TOLERANCE).sum()),
        "max_difference": float(differences.max()),
        "tolerance": TOLERANCE,
    }
    if proof["agree"] < proof["samples"]:
        raise ParityError(
            f"The packed model differs from the engine by up to {differences.max():.2g} on "
            f"{proof['samples'] - proof['agree']} of {proof['samples']} test samples; {TOLERANCE:g} is allowed."
        )
    return proof


def _predict_apart(bundle: Path) -> np.ndarray:
    """(N, K) probabilities of the bundle's samples by its own ``predict.py``.

    The process finds only the packages that ``requirements.txt`` brings, as a fresh installation would.

    Raises:
        ParityError: the bundle doesn't run.
    """
    out = bundle.parent / "verify.csv"
    hidden = _modules_beyond((bundle / "requirements.txt").read_text())
    arguments = [str(bundle / "predict.py"), str(bundle / "sample" / "input"), "-o", str(out)]
    environment = {key: os.environ[key] for key in ("PATH", "LANG", "LD_LIBRARY_PATH") if key in os.environ}
    command = [sys.executable, "-I", "-B", "-c", RUN_WITHOUT.format(hidden=hidden), *arguments]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    process = launch(command, reader_limits(), env=environment, cwd=bundle.parent, **pipes)
    try:
        _, errors = process.communicate(timeout=VERIFY_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.communicate()
        raise ParityError(f"The packed model needs more than {VERIFY_LIMIT_S} s for its samples.") from None
    if process.returncode:
        raise ParityError(f"The packed model does not run: {errors.strip()[-2000:]}")
    with open(out, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return np.array([[float(value) for value in row[2:]] for row in rows])


def _modules_beyond(requirements: str) -> list[str]:
    """Top-level modules installed here that neither these packages nor what they depend on bring."""
    todo = [line.partition("==")[0] for line in requirements.splitlines()]
    brought: set[str] = set()
    while todo:
        package = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if package in brought:
            continue
        brought.add(package)
        try:
            needs = requirements_of(package) or []
        except PackageNotFoundError:  # for another platform
            continue
        todo += [re.split(r"[^\w.-]", need, maxsplit=1)[0] for need in needs if "extra ==" not in need]
    owners = packages_distributions()
    return sorted(m for m, of in owners.items() if not {re.sub(r"[-_.]+", "-", name).lower() for name in of} & brought)


def _write_card(bundle: Path, run_dir: Path, data_dir: Path, proof: dict[str, Any], k: int) -> None:
    """``card.json`` for machines and ``README.md`` for people."""
    scores = json.loads((run_dir / "scores.json").read_text())
    report = json.loads((data_dir / "report.json").read_text())
    data = {key: report[key] for key in ("name", "modality", "title", "task", "counts", "labels")}
    members = json.loads((bundle / "model" / "predictor.json").read_text(encoding="utf-8"))["members"]
    weights = sorted({member["weights"] for member in members if "weights" in member})
    card = {"data": data, "training": scores, "prediction": k, "verified": proof, "weights": weights}
    (bundle / "card.json").write_text(json.dumps(card, indent=1, ensure_ascii=False), encoding="utf-8")
    size_bytes = sum(file.stat().st_size for file in (bundle / "model").iterdir())
    shown = {**scores, "k": k, "size_mb": size_bytes / 1e6, "accuracy_text": _percent(scores["accuracy"])}
    text = CARD.format(data=data, shown=shown, proof=proof) + _terms(weights)
    (bundle / "README.md").write_text(text, encoding="utf-8")
    for package in named_packages(weights):
        _write_notice(bundle / "notices" / f"{package}.txt", package)


def _terms(weights: list[str]) -> str:
    """A section of ``README.md`` about the pretrained weights that the networks hold; empty without any."""
    lines = [f"- This model uses {text}.\n" for text in weights]
    if named_packages(weights):
        lines.append("\nTheir notices are in `notices/`, the text of the Apache License 2.0 is in `LICENSE`.\n")
    return "\n## Pretrained weights\n" + "".join(lines) if lines else ""


def named_packages(weights: list[str]) -> list[str]:
    """The Python packages whose weights these sentences name."""
    return [package for package in PACKAGES.values() if any(package in text for text in weights)]


def _write_notice(path: Path, package: str) -> None:
    """The licence file that a package brings."""
    licences = [file for file in files(package) or () if file.name.upper().startswith(("LICENSE", "NOTICE"))]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(file.read_text() for file in licences), encoding="utf-8")


def _percent(share: float | None) -> str:
    return "not defined (an example can have several labels)" if share is None else f"{100 * share:.1f} %"


CARD = """# {data[name]}

A model for {data[modality]} data, learned by AutoDL Self-Service: {data[title]}.

## Use it
    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python predict.py YOUR_DATA -o predictions.csv

`YOUR_DATA` is a file, a folder, a zip or a table like those the model learned from, without labels; `sample/input`
holds some. The answer is a CSV: name, predicted label, probability of each label. Each file or row of the input has a
row; where something could not be read, the last column, `problem`, says why.

## What to expect
| | |
|---|---|
| test samples that it never saw | {data[counts][test]} of {data[counts][samples]} |
| NAUC (1 = perfect ranking, 0 = chance) | {shown[nauc]:.4f} |
| right at first guess | {shown[accuracy_text]} |
| ALC (area under the learning curve) | {shown[alc]:.4f} |
| budget, clock | {shown[budget_s]} s, t0 = {shown[t0_s]} s |
| learned by | {shown[model]} on {shown[device]}; {shown[reason]} |
| size of the networks | {shown[size_mb]:.2f} MB |

Verified: on {proof[agree]} of {proof[samples]} raw test samples this bundle, in a clean process, agrees with the site
within {proof[tolerance]:g}; the largest difference is {proof[max_difference]:.2g}.

## Limits
The figures hold for data like the data it learned from; on other cameras, rooms, languages or populations it can be
worse without notice. It always answers with one of its labels, also when none fits. The curve, the versions of all
libraries and the counts a label are in `card.json`.

The programs in this folder are under the Apache License 2.0 (`LICENSE`).
"""


def _pack(bundle: Path, target: Path) -> Path:
    with atomic_write(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(path for path in bundle.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(bundle).as_posix(), ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return target


def _read_json(path: Path, missing: str) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(missing) from None
