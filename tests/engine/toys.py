"""Tiny data sets on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from automl_engine.dataset.examples import Steps
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_solution, write_split

TABLE = Spec("toy", 0, 3, 1, 1, 4, 1)


def write_table(folder: Path, n_train: int = 60, n_test: int = 30, seed: int = 0) -> Path:
    """``folder`` with a table of 3 separable classes: the first three cells are the class, with noise."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n_train + n_test) % 3
    cells = np.concatenate([np.eye(3)[classes], rng.normal(size=(len(classes), 1))], 1)
    cells = (cells + rng.normal(scale=0.1, size=cells.shape)).astype(np.float32)
    rows = [(row.reshape(1, 1, 4, 1), [int(c)]) for row, c in zip(cells, classes, strict=True)]
    write_dataset(folder, TABLE, rows[:n_train], rows[n_train:])
    return folder


def write_dataset(
    folder: Path, spec: Spec, train: list[tuple[Steps, list[int]]], test: list[tuple[Steps, list[int]]]
) -> None:
    data_dir = folder / f"{spec.name}.data"
    write_split(data_dir / "test", spec, test, first_id=0, hide_labels=True)
    write_split(data_dir / "train", spec, train, first_id=len(test), hide_labels=False)
    solution = np.zeros((len(test), spec.output_dim), int)
    for row, (_, positives) in zip(solution, test, strict=True):
        row[positives] = 1
    write_solution(folder / f"{spec.name}.solution", solution)


def edit(path: Path, change: Callable[[bytearray], None]) -> None:
    """Damage a file."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
