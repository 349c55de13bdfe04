"""Where the meta-learner's knowledge comes from: variations of data sets, benchmarks, tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_engine.__main__ import main
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.lab.meta.tables import read_features, read_scores, read_table, wide
from automl_engine.lab.meta.variations import vary
from automl_engine.metalearning.sources import source_of
from tests.engine.toys import write_dataset, write_table


def test_a_class_subset_keeps_its_examples_and_names(tmp_path: Path) -> None:
    source = write_table(tmp_path / "toy", n_train=60, n_test=30)
    vary(source, tmp_path / "toy--classes2")
    train = open_split(tmp_path / "toy--classes2" / "toy--classes2.data", "train")
    solution = np.loadtxt(tmp_path / "toy--classes2" / "toy--classes2.solution")
    assert (len(train), train.spec.output_dim) == (40, 2)
    assert solution.shape == (20, 2)
    assert (solution.sum(1) == 1).all()
    original = open_split(source / "toy.data", "train")
    classes = [original.spec.labels.index(name) for name in train.spec.labels]
    kept = np.flatnonzero(original.labels[:, classes].sum(1))
    assert np.array_equal(train.labels, original.labels[kept][:, classes])
    assert np.array_equal(train.steps(0), original.steps(int(kept[0])))


def test_fewer_samples_are_stratified_and_the_test_split_stays(tmp_path: Path) -> None:
    source = write_table(tmp_path / "toy", n_train=60, n_test=30)
    vary(source, tmp_path / "toy--n12")
    train = open_split(tmp_path / "toy--n12" / "toy--n12.data", "train")
    assert train.labels.sum(0).tolist() == [4, 4, 4]
    assert (tmp_path / "toy--n12" / "toy--n12.solution").read_text() == (source / "toy.solution").read_text()


def test_smaller_images(tmp_path: Path) -> None:
    spec = Spec("pictures", 0, 2, 1, 40, 60, 3, "COMPRESSED")
    rng = np.random.default_rng(0)

    def picture() -> list[bytes]:
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8).astype(np.uint8)).save(file, "JPEG")
        return [file.getvalue()]

    rows = [(picture(), [i % 2]) for i in range(8)]
    write_dataset(tmp_path / "pictures", spec, rows[:6], rows[6:])
    vary(tmp_path / "pictures", tmp_path / "pictures--side15")
    train = open_split(tmp_path / "pictures--side15" / "pictures--side15.data", "train")
    assert train.tensor(0).shape == (1, 10, 15, 3)
    assert (train.spec.row_count, train.spec.col_count) == (10, 15)


@pytest.mark.parametrize("name", ["toy--classes9", "toy--half", "toy", "toy--side8"])
def test_what_is_no_variation_is_told(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / "toy")
    with pytest.raises(DataError, match=r"must end|must keep|holds no encoded images"):
        vary(tmp_path / "toy", tmp_path / "out" / name)


def test_the_verb_makes_what_is_asked_for_once(tmp_path: Path) -> None:
    write_table(tmp_path / "toy")
    command = ["meta", "variations", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--ask", "toy--n12"]
    assert main(command) == 0
    solution = tmp_path / "out" / "toy--n12" / "toy--n12.solution"
    made = solution.stat().st_mtime_ns
    assert main(command) == 0
    assert solution.stat().st_mtime_ns == made
    assert source_of("toy--n12") == "toy"


def benchmark(out: Path, rows: dict[str, float]) -> None:
    """A finished benchmark of rows on one table."""
    out.mkdir(exist_ok=True)
    columns = ["set", "modality", "model", "seed", "budget_s", "t0_s", "alc", "nauc", "first_prediction_s"]
    with open(out / "results.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "wall_s", "device"])
        writer.writerows(["toy", "tabular", name, 0, 20, 60, alc, alc, 0.1, 3, "cpu"] for name, alc in rows.items())


def test_a_benchmark_fills_the_tables(tmp_path: Path) -> None:
    write_table(tmp_path / "bench" / "sets" / "toy")
    benchmark(tmp_path / "bench", {"tabular_linear": 0.8, "tabular_forest": 0.9, "auto": 0.95})
    command = ["meta", "scores", "--bench", str(tmp_path / "bench"), "--tables", str(tmp_path / "tables")]
    assert main(command) == 0
    benchmark(tmp_path / "bench", {"tabular_linear": 0.8, "tabular_forest": 0.9, "tabular_xgboost": 0.7})
    assert main(command) == 0, "what is known is not added again"
    scores = read_scores(tmp_path / "tables" / "scores.csv")
    assert [score.row for score in scores] == ["tabular_linear", "tabular_forest", "tabular_xgboost"]
    table = wide(scores, "tabular")
    assert (table.datasets, table.sources, table.alc.tolist()) == (["toy"], ["toy"], [[0.8, 0.9, 0.7]])
    features = read_features(tmp_path / "tables" / "features_tabular.csv")["toy"]
    assert len(features) > 5
    assert np.isfinite(list(features.values())).all()


def test_foreign_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "foreign.csv").write_text(",A,B\nA,0.5,0.6\nC,0.7,\n")
    table = read_table(tmp_path / "foreign.csv")
    assert (table.datasets, table.rows) == (["A", "C"], ["A", "B"])
    assert np.isnan(table.alc[1, 1])
    assert table.alc[1, 0] == 0.7
    (tmp_path / "broken.csv").write_text(",A\nA,high\n")
    with pytest.raises(DataError, match="must hold numbers"):
        read_table(tmp_path / "broken.csv")
