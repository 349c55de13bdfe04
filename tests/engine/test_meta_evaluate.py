"""Leave-one-source-out regret (meta evaluate) and greedy portfolios (meta reduce), on toy tables."""

from __future__ import annotations

import csv
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from automl_engine.__main__ import main
from automl_engine.lab.meta.evaluate import (
    Evidence,
    counts_as_logarithms,
    folds,
    interval,
    judge,
    references,
    regret_of,
    tuned,
    with_features,
)
from automl_engine.lab.meta.reduce import greedy
from automl_engine.lab.meta.selectors.average import BestAverage
from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.knn import NearestNeighbours
from automl_engine.lab.meta.tables import Score, Table, append_scores, read_table
from automl_engine.metalearning.samples import samples_path, write_samples

NAN = float("nan")


def evidence(sources: str = "abcd") -> Evidence:
    """A data set for each letter, with columns named a, b, c and default; each set likes its own column."""
    names = [f"{source}{n}" for n, source in enumerate(sources)]
    rows = ["a", "b", "c", "default"]
    likes = [[0.9 if row == source else 0.5 + 0.05 * j for j, row in enumerate(rows)] for source in sources]
    features = np.array([[float(ord(source)), 1.0] for source in sources])
    return Evidence(Table(names, list(sources), rows, np.array(likes)), features)


class Spy(Selector):
    """Keeps what it was shown."""

    shown: list[tuple[np.ndarray, np.ndarray]] = []

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Spy:
        self.shown.append((features, scores))
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        assert not (self.shown[-1][0] == features).all(1).any()  # no variation of it is known
        return np.arange(self.shown[-1][1].shape[1])


def test_variations_of_one_source_are_hidden_together_and_so_is_the_column_of_its_name() -> None:
    told = evidence("aabcd")
    parts = list(folds(told))
    assert [hidden.table.datasets for _, hidden in parts] == [["a0", "a1"], ["b2"], ["c3"], ["d4"]]
    known, hidden = parts[0]
    assert known.table.datasets == ["b2", "c3", "d4"]
    assert known.table.rows == hidden.table.rows == ["b", "c", "default"]
    assert known.features.shape == (3, 2)
    assert parts[3][0].table.rows == ["a", "b", "c", "default"]
    judge(told, Spy, [0])
    assert [scores.shape for _, scores in Spy.shown] == [(3, 3), (4, 3), (4, 3), (4, 4)]


def test_a_pick_is_the_first_row_that_was_run_there() -> None:
    alc = np.array([NAN, 0.5, 0.9])
    assert regret_of(np.array([0, 1, 2]), alc) == pytest.approx(0.4)
    assert regret_of(np.array([2, 1, 0]), alc) == 0


def test_the_references_are_what_they_say() -> None:
    found = {name: outcome.regret[0] for name, outcome in references(evidence("abc")).items()}
    assert found["oracle"].tolist() == [0, 0, 0]
    np.testing.assert_allclose(found["default"], 0)  # .65 is the best that remains once one's own is hidden
    means = [np.mean([0.55, 0.6, 0.65]), np.mean([0.5, 0.6, 0.65]), np.mean([0.5, 0.55, 0.65])]
    np.testing.assert_allclose(found["random (expected)"], np.subtract(0.65, means))
    np.testing.assert_allclose(found["nearest set's own"], [0.1, 0.15, 0.1])  # b; a (before c); b


def test_values_come_back_in_the_order_of_the_table() -> None:
    told = evidence("abca")
    outcome = judge(told, BestAverage, range(2))
    assert outcome.regret.shape == (2, 4)
    assert outcome.regret[0].tolist() == outcome.regret[1].tolist()
    assert outcome.regret[0, 0] == outcome.regret[0, 3]
    assert outcome.fit_s < 1


def test_nested_search_sees_the_known_sets_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()

    def note(table: Table, parts: list[int]) -> Table:
        seen.update(table.datasets)
        return original(table, parts)

    original = Table.select
    known, hidden = next(folds(evidence("abcdefg")))
    monkeypatch.setattr(Table, "select", note)
    params = tuned(NearestNeighbours, known, trials=3, seed=0)
    assert set(params) == set(NearestNeighbours.SPACE)
    assert seen
    assert not seen & set(hidden.table.datasets)


def test_counts_are_compared_by_their_logarithms() -> None:
    numbers = np.array([[10, 1, 0.5, -1], [1000, 3, 2.5, 300], [99, 1, 700.5, 28]])
    found = counts_as_logarithms(numbers)
    np.testing.assert_allclose(found[:, 0], np.log1p(numbers[:, 0]))
    np.testing.assert_array_equal(found[:, 1:3], numbers[:, 1:3])
    assert found[0, 3] < 0 < found[2, 3]


def test_the_interval_takes_variations_of_a_source_for_one() -> None:
    values = np.array([0.0] * 20 + [1.0] * 20)
    together = interval(values, ["x"] * 20 + ["y"] * 20)
    apart = interval(values, [str(n) for n in range(40)])
    assert together == (0, 1)
    assert 0.3 < apart[0] < 0.5 < apart[1] < 0.7


def write_foreign(folder: Path) -> tuple[Path, Path]:
    told = evidence("abcdef")
    scores, features = folder / "P.csv", folder / "F.csv"
    lines = [
        f"{name}," + ",".join(map(str, row)) for name, row in zip(told.table.datasets, told.table.alc, strict=True)
    ]
    scores.write_text("\n".join([",a,b,c,default", *lines, "video,.1,.2,.3,.4"]) + "\n")
    lines = [f"{name},{n},{10**n},-1" for n, name in enumerate(told.table.datasets, 1)]
    features.write_text("\n".join([",num_channels,num_train,resolution", *lines]) + "\n")
    return scores, features


def test_the_command_judges_foreign_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, features = write_foreign(tmp_path)
    command = ["meta", "evaluate", "--scores", str(scores), "--features", str(features), "--out", str(tmp_path / "out")]
    assert main([*command, "--selectors", "average,average_rank,knn,nearest_centroid", "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert "no features: video." in printed
    assert "nearest_centroid needs --samples" in printed
    assert re.search(r"\| oracle \| 0\.0000 \|", printed)
    assert re.search(r"\| knn \| \d\.\d{4} \|.* ms \|", printed)
    with open(tmp_path / "out" / "regret.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len([line for line in lines if line["selector"] == "knn"]) == 2 * 6
    assert main([*command, "--selectors", "nearest_centroid", "--samples", str(tmp_path)]) == 2
    assert "no samples of a0" in capsys.readouterr().err
    points = np.random.default_rng(0).normal(size=(6, 8, 3))
    write_samples(samples_path("image", tmp_path), {f"{name}{n}": points[n] for n, name in enumerate("abcdef")})
    assert main([*command, "--selectors", "nearest_centroid", "--samples", str(tmp_path)]) == 0
    assert re.search(r"\| nearest_centroid \| \d\.\d{4} \|", capsys.readouterr().out)
    assert main([*command, "--selectors", "nonsense"]) == 2
    assert "no selector nonsense" in capsys.readouterr().err


def test_the_command_judges_a_table_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        Score(f"{source}--{part}", source, "text", row, 1, 60, 20, 0, "cpu", alc, 0.5, 1, 60, "1", "2026-11-22")
        for source in "uvwx"
        for part in (1, 2)
        for row, alc in (("fast", 0.7), ("slow", NAN if source == "u" else 0.6))
    ]
    append_scores(runs, tmp_path / "scores.csv")
    lines = [f"{s}--{part},{s},{ord(s)},{part}" for s in "uvwx" for part in (1, 2)]
    (tmp_path / "F.csv").write_text("\n".join(["dataset,source,x,y", *lines]) + "\n")
    command = ["meta", "evaluate", "--scores", str(tmp_path / "scores.csv"), "--features", str(tmp_path / "F.csv")]
    assert main([*command, "--modality", "text", "--selectors", "average_rank,linear"]) == 0
    printed = capsys.readouterr().out
    assert "fewer than two scores: u--1, u--2." in printed
    assert "6 data sets of 3 sources, 2 rows." in printed
    assert re.search(r"\| linear \| 0\.0000", printed)


def test_too_small_a_table_is_the_users_to_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, features = write_foreign(tmp_path)
    features.write_text(",x\na0,1\nb1,2\n")
    assert main(["meta", "evaluate", "--scores", str(scores), "--features", str(features)]) == 2
    assert "fewer than three sources" in capsys.readouterr().err
    assert len(with_features(read_table(scores), write_foreign(tmp_path)[1])[0].table.datasets) == 6


def test_greedy_portfolios_are_near_the_best_of_their_size() -> None:
    alc = np.random.default_rng(0).uniform(size=(15, 7))
    alc[2, 3] = NAN
    order, worth = greedy(alc)
    assert sorted(order) == list(range(7))
    assert (np.diff(worth) >= 0).all()
    assert worth[-1] == pytest.approx(np.nanmax(alc, 1).mean())
    assert order[0] == np.nan_to_num(alc).mean(0).argmax()
    for size in (2, 3):
        best = max(np.nanmax(alc[:, list(some)], 1).mean() for some in combinations(range(7), size))
        assert worth[size - 1] >= 0.97 * best


def test_reduce_prints_each_size_and_draws_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, _ = write_foreign(tmp_path)
    assert main(["meta", "reduce", "--scores", str(scores), "--size", "2", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "| 4 |" in printed
    assert re.search(r"2 of 4 rows keep \d\d\.\d\d%: \w+, \w+\.", printed)
    assert (tmp_path / "out" / "reduce.svg").read_text().count("<circle") == 4
    assert (tmp_path / "out" / "reduce.csv").read_text().startswith("size,row,mean_best_alc\n1,")
    assert main(["meta", "reduce", "--scores", str(scores), "--size", "5"]) == 2
    assert "--size must be 1 to 4" in capsys.readouterr().err
