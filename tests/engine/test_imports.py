"""What is imported before the clock starts: a second for a library that is not needed is a second that a user waits."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from automl_engine.dataset.examples import Examples, Steps
from automl_engine.models import MODELS, model_class
from automl_engine.models.configuration import LIBRARY, PARAMETERS, STEPWISE
from automl_engine.portfolio import load
from tests.engine.toy_examples import toy
from tests.engine.toys import write_dataset

COMMAND = """
from pathlib import Path
from automl_engine.__main__ import _parser, _unpacked, resolve
_parser(["run", "DIR", "--out", "RUN"])
resolve(_unpacked(Path("auto"), Path("RUN")), Path("DIR"), None)
"""
SUPERVISOR = "from automl_engine.run import supervisor"
NETWORK = """
import torch
from automl_engine.models.shared import trainer
network, inputs, labels = torch.nn.Linear(2, 2), torch.ones(4, 2), torch.eye(2).repeat(2, 1)
before = network.weight.detach().clone()
steps = trainer.Trainer(
    network, network, trainer.classification_loss(False), torch.optim.AdamW(network.parameters()),
    trainer.Decay(0.1, 9, 0, 1e9), batch=lambda chosen: (inputs[chosen], labels[chosen]),
    operation="", amounts=lambda _: {},
)
trainer.half_precision_is_faster(network, inputs, "")
for _ in range(2):
    steps.step(torch.arange(4))
assert not network.weight.equal(before)
"""


@pytest.mark.parametrize(
    ("program", "unwanted"),
    [
        (COMMAND, ["torch", "sklearn", "scipy", "formatters", "automl_engine.lab.bench.baselines"]),
        (SUPERVISOR, ["torch", "scipy"]),
        (NETWORK, ["torch._dynamo"]),
    ],
    ids=["command", "supervisor", "network"],
)
def test_what_is_not_imported(program: str, unwanted: list[str]) -> None:
    ask = f"{program}\nimport sys; print([name for name in {unwanted} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


AT_THE_START = """
import os, sys
from automl_engine.run import ingestion

def tell(*_):
    print(*{name.partition(".")[0] for name in sys.modules}, flush=True)
    os._exit(0)

ingestion.Ingestion._loop = tell
sys.exit(ingestion.main(sys.argv[1:]))
"""
LARGE = {
    *(
        "PIL",
        "catboost",
        "cv2",
        "lightgbm",
        "matplotlib",
        "numpy",
        "onnx",
        "onnxruntime",
        "pandas",
        "safetensors",
        "scipy",
    ),
    *("simplejpeg", "sklearn", "tensorflow", "torch", "torchvision", "xgboost"),
}
ARRAYS = {"numpy", "scipy"}
TREES, PICTURES = (
    {*ARRAYS, "pandas", "sklearn"},
    {*ARRAYS, "cv2", "onnx", "onnxruntime", "safetensors", "simplejpeg", "torch"},
)
LOADED = {"audio": ARRAYS, "image": PICTURES, "tabular": TREES, "text": ARRAYS, "timeseries": TREES, "video": PICTURES}
"""Which of them are loaded when the clock starts."""


@pytest.mark.parametrize("kind", LOADED)
def test_what_is_loaded_when_the_clock_starts(kind: str, tmp_path: Path) -> None:
    train, test = (toy(kind, count, False, seed=count) for count in (12, 6))
    write_dataset(tmp_path, train.spec, rows_of(train), rows_of(test))
    (data_dir,) = tmp_path.glob("*.data")
    order = {"model": "auto", "name": "auto", "params": {"rows": [asdict(row) for row in load()]}}
    order |= {"seed": 0, "device": "cpu", "budget_s": 9, "t0_s": 60}
    (tmp_path / "run.json").write_text(json.dumps(order))
    program = [sys.executable, "-c", AT_THE_START, str(data_dir), str(tmp_path)]
    told = subprocess.run(program, capture_output=True, text=True, check=True)
    assert LARGE & set(told.stdout.split()) == LOADED[kind]


def rows_of(examples: Examples) -> list[tuple[Steps, list[int]]]:
    return [(examples.steps(i), np.flatnonzero(labels).tolist()) for i, labels in enumerate(examples.labels)]


def test_the_tables_of_slow_libraries_and_of_networks_are_those_of_the_models() -> None:
    quick = sorted(MODELS.keys() - LIBRARY.keys() - {"challenge"})
    ask = f"import sys; from automl_engine.models import model_class; [model_class(name) for name in {quick}]"
    told = subprocess.run(
        [sys.executable, "-c", f"{ask}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not set(LIBRARY.values()) & set(told.stdout.split())
    assert {name for name in PARAMETERS if not model_class(name).refits} == STEPWISE
