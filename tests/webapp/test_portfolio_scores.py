"""The score table: from the engine's file and from runs into the database, and what the pages make of it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from automl_engine.lab.meta import tables
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.portfolio import matrix
from webapp.portfolio.models import PortfolioRow, RowChange, Score
from webapp.portfolio.scores import KINDS, add_run_score, forget_run_score, import_scores
from webapp.runs.models import Run

TABLE = {  # data set -> (ALC of a, b, c)
    "cats": (0.9, 0.8, 0.7),
    "digits": (0.5, 0.6, None),
    "digits--n50": (0.4, 0.4, 0.6),
}


def score(dataset: str, row: str, alc: float | None, **fields: Any) -> tables.Score:
    """A line of scores.csv; no ALC is a run that failed."""
    nan = float("nan")
    values = {
        "dataset": dataset,
        "source": dataset.partition("--")[0],
        "modality": "image",
        "row": row,
        "version": 1,
        "budget_s": 60.0,
        "t0_s": 60.0,
        "seed": 0,
        "device": "cpu",
        "alc": nan if alc is None else alc,
        "nauc": nan if alc is None else alc,
        "first_prediction_s": 0.5,
        "wall_s": 10.0,
        "engine": "0.1.0",
        "date": "2026-11-22",
    }
    return tables.Score(**values | fields)  # type: ignore[arg-type]


def write_table(path: Path, scores: Iterable[tables.Score]) -> Path:
    path.unlink(missing_ok=True)
    tables.append_scores(scores, path)
    return path


@pytest.fixture
def lines() -> list[tables.Score]:
    return [score(dataset, row, alc) for dataset, alcs in TABLE.items() for row, alc in zip("abc", alcs, strict=True)]


@pytest.fixture
def rows(db: None) -> list[PortfolioRow]:
    made = [("a", True), ("b", True), ("c", False), ("new", True)]
    return [
        PortfolioRow.objects.create(name=name, modality="image", model="constant", enabled=enabled, position=i)
        for i, (name, enabled) in enumerate(made)
    ]


@pytest.fixture
def table(tmp_path: Path, rows: list[PortfolioRow], lines: list[tables.Score]) -> Path:
    path = write_table(tmp_path / "scores.csv", lines)
    import_scores(path)
    return path


def images() -> matrix.Matrix:
    (found,) = matrix.matrices("image")
    return found


def test_the_columns_are_those_of_the_engine(tmp_path: Path) -> None:
    path = write_table(tmp_path / "scores.csv", [score("x", "a", 0.5)])
    assert set(next(csv.reader(path.open()))) == set(KINDS)


def test_importing_twice_is_harmless_and_the_file_counts(table: Path, lines: list[tables.Score]) -> None:
    for _ in range(2):
        assert import_scores(table) == len(lines) == Score.objects.count()
    assert Score.objects.get(dataset="digits", row="c").alc is None
    write_table(table, [score("cats", "a", 0.99), *lines[4:]])
    assert import_scores(table) == len(lines) - 3
    assert Score.objects.get(dataset="cats").alc == 0.99


def test_a_large_table_takes_few_queries(
    tmp_path: Path, rows: list[PortfolioRow], django_assert_max_num_queries: Any
) -> None:
    path = write_table(tmp_path / "scores.csv", (score(f"set{i}", "a", 0.5) for i in range(2000)))
    with django_assert_max_num_queries(60):
        assert import_scores(path) == 2000


def test_a_damaged_table_changes_nothing(table: Path) -> None:
    before = Score.objects.count()
    with open(table, "a") as file:
        file.write("cats,cats,image,a,one\n")
    with pytest.raises(ValueError, match="line 11 is no line"):
        import_scores(table)
    assert Score.objects.count() == before


def test_the_command_brings_both(db: None) -> None:
    call_command("sync_portfolio", verbosity=0)
    shipped = tables.read_scores()
    assert Score.objects.filter(shipped=True).count() <= len(shipped)
    assert bool(shipped) == Score.objects.exists()


def test_ranks_wins_costs_and_failures(table: Path) -> None:
    a, b, c, new = images().lines
    assert images().common == [0, 1, 2]  # "new" is in use but has no score at all
    assert [dataset["name"] for dataset in images().datasets] == ["cats", "digits", "digits--n50"]
    assert [line.mean_alc for line in (a, b, c, new)] == pytest.approx([0.6, 0.6, None, None])
    assert a.average_rank == b.average_rank == pytest.approx((1 + 2 + 1.5) / 3)
    assert c.average_rank is None  # it failed on digits
    assert (a.wins, b.wins, c.wins, new.wins) == (["cats"], ["digits"], ["digits--n50"], [])
    assert (c.failures, c.cost_s, new.cost_s) == (1, 10.0, None)
    steps = [[cell.step if cell else None for cell in line.cells] for line in (a, b)]
    assert steps == [[0, 4, 5], [4, 0, 5]]
    assert [cell.shown for cell in c.cells if cell] == [".700", "✕", ".600"]


def test_only_the_newest_version_under_the_usual_conditions_counts(table: Path, lines: list[tables.Score]) -> None:
    more = [score("cats", "b", 0.95, version=2, seed=seed) for seed in range(2)]
    write_table(table, [*lines, *more, score("cats", "a", 0.1, budget_s=1200.0), score("cats", "gone", 1.0)])
    import_scores(table)
    a, b, *_ = images().lines
    assert (a.cells[0].alc, b.cells[0].alc) == pytest.approx((0.9, 0.95))  # type: ignore[union-attr]
    assert b.cells[0].runs == 2  # type: ignore[union-attr]
    assert b.cells[1:] == [None, None]
    engine = tables.wide(tables.read_scores(table), "image")  # sees the same
    ours = {row: engine.alc[0, j] for j, row in enumerate(engine.rows)}
    assert (ours["a"], ours["b"]) == pytest.approx((0.9, 0.95))


def test_the_effect_of_a_row_before_it_is_enabled(table: Path) -> None:
    found = matrix.effect(images(), "c")
    assert found is not None
    assert found.datasets == 2  # it failed on digits
    assert (found.best_without, found.best_with) == pytest.approx(((0.9 + 0.4) / 2, (0.9 + 0.6) / 2))
    assert found.gain == pytest.approx(0.1)
    compared = {name: (before, after) for name, before, after in found.ranks}
    assert found.common == 2
    assert compared["a"] == pytest.approx(((1 + 1.5) / 2, (1 + 2.5) / 2))
    assert compared["c"] == (None, 2.0)
    assert matrix.effect(images(), "new") is None


def test_ranks_and_means_are_over_common_data_sets(
    table: Path, lines: list[tables.Score], admin_client: Client
) -> None:
    """A configuration with a score on the easiest data set alone must not lead."""
    write_table(table, [*lines, score("easy", "a", 0.99), score("easy", "c", 0.98)])
    import_scores(table)
    found = images()
    assert [found.datasets[i]["name"] for i in found.common] == ["cats", "digits", "digits--n50"]
    assert [line.mean_alc for line in found.lines] == pytest.approx([0.6, 0.6, None, None])
    page = admin_client.get("/portfolio").content.decode()
    assert "over the 3 of 4 data sets on which all configurations in use have a score" in page
    write_table(table, [*lines, score("easy", "new", 0.99)])
    import_scores(table)
    assert (images().common, images().lines[0].average_rank) == ([], None)
    assert "evaluate those that lack scores" in admin_client.get("/portfolio").content.decode()


def test_what_missing_weights_would_gain(
    table: Path, rows: list[PortfolioRow], admin_client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    params = {"network": "mobilenet_v2"}
    PortfolioRow.objects.filter(name="c").update(model="image_pretrained", params=params, enabled=True)
    found = images()
    assert found.common == [0, 1, 2]  # c, which cannot run, does not narrow them
    assert found.lines[2].obstacle == "It needs the weights of mobilenet_v2."
    for page in ("/portfolio", "/portfolio/row/c"):
        text = " ".join(admin_client.get(page).content.decode().split())
        assert "cannot run here</span> It needs the weights of mobilenet_v2. It would add 0.100" in text
    assert "cannot run here" not in admin_client.get("/portfolio/row/a").content.decode()
    admin_client.post("/portfolio/row/c/evaluate")
    assert "It cannot run here. It needs the weights" in admin_client.get("/portfolio/row/c").content.decode()


def test_the_pages_show_it(table: Path, admin_client: Client) -> None:
    page = admin_client.get("/portfolio").content.decode()
    assert re.search(r'<td class="h0" title="a on cats: ALC 0.9000, best, 10 s">.900</td>', page)
    assert ">✕</td>" in page
    page = admin_client.get("/portfolio/row/c").content.decode()
    assert "0.650" in page  # without
    assert "+0.100" in page
    assert "digits--n50" in page


@pytest.mark.parametrize("page", ["/portfolio", "/portfolio/row/row-3"])
def test_few_queries_for_many_rows_and_sets(
    page: str, db: None, admin_client: Client, tmp_path: Path, django_assert_max_num_queries: Any
) -> None:
    made = [PortfolioRow(name=f"row-{i}", modality="image", model="constant") for i in range(40)]
    PortfolioRow.objects.bulk_create(made)
    RowChange.objects.bulk_create(
        RowChange(row=PortfolioRow.objects.get(name="row-3"), version=i, what="x", content={}) for i in range(50)
    )
    scores = (score(f"set-{j}", f"row-{i}", (i * j % 97) / 97) for i in range(40) for j in range(60))
    import_scores(write_table(tmp_path / "scores.csv", scores))
    with django_assert_max_num_queries(16):
        assert admin_client.get(page).status_code == 200


Make = Callable[..., Any]


@pytest.fixture
def run(owner: User, make_dataset: Make, make_run: Make, rows: list[PortfolioRow]) -> Run:
    """A finished run of row a on somebody's private data."""
    run: Run = make_run(make_dataset(owner, name="confidential"), model="a", alc=0.7, nauc=0.9)
    tell(run, stopped="done")
    return run


def tell(run: Run, **fields: Any) -> None:
    """Into scores.json."""
    path = run.dir / "scores.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    versions = {"versions": {"autodl-self-service": "0.1.0"}, "device": "cpu"}
    path.write_text(json.dumps(known | versions | fields))


def test_a_run_adds_a_line_once(run: Run) -> None:
    first, again = add_run_score(run), add_run_score(run)
    assert first == again == Score.objects.get()
    assert first is not None
    kept = (first.row, first.version, first.alc, first.nauc, first.budget_s, first.engine, first.modality)
    assert kept == ("a", 1, 0.7, 0.9, 20, "0.1.0", "image")
    assert "confidential" not in first.dataset
    assert run.dataset_id not in first.dataset
    assert images().datasets[0]["label"] == "confidential"  # for administrators, who see everything


def test_the_score_is_of_the_version_that_learned(run: Run, rows: list[PortfolioRow]) -> None:
    change = RowChange.objects.create(row=rows[0], version=3, what="x", content={})
    RowChange.objects.filter(pk=change.pk).update(made=run.started)
    RowChange.objects.create(row=rows[0], version=4, what="edited while it learned", content={})
    found = add_run_score(run)
    assert found
    assert found.version == 3


@pytest.mark.parametrize(
    ("fields", "stopped"),
    [
        ({"model": "auto"}, "done"),
        ({"model": "unknown"}, "done"),
        ({}, "user"),
        ({"state": "running"}, "done"),
        ({"state": "cancelled"}, "done"),
    ],
)
def test_what_tells_nothing_of_a_row_adds_nothing(run: Run, fields: dict[str, Any], stopped: str) -> None:
    tell(run, stopped=stopped)
    for name, value in fields.items():
        setattr(run, name, value)
    assert add_run_score(run) is None
    assert not Score.objects.exists()


def test_a_failed_run_is_a_failure(run: Run) -> None:
    run.state = Run.State.FAILED
    found = add_run_score(run)
    assert found
    assert found.alc is None
    assert images().lines[0].failures == 1


def test_a_failure_tells_why_and_is_no_empty_cell(run: Run, table: Path, admin_client: Client) -> None:
    """Row a failed on the run's data, where the others were never run; c failed elsewhere, nobody knows why."""
    run.state, run.error = Run.State.FAILED, "The engine ran out of <memory>. Your data is safe."
    run.budget_s, run.t0_s = 60, 60
    run.save()
    add_run_score(run)
    a, b, c, _ = images().lines
    failed = [cell for cell in a.cells if cell and cell.alc is None]
    assert [cell.why for cell in failed] == ["The engine ran out of <memory>"]
    assert b.cells[a.cells.index(failed[0])] is None
    assert [cell.title for cell in c.cells if cell and cell.alc is None] == ["c on digits: failed"]
    page = admin_client.get("/portfolio").content.decode()
    why = "The engine ran out of &lt;memory&gt;"
    assert f'<td class="failed" title="a on confidential: failed ({why})">✕</td>' in page
    page = admin_client.get("/portfolio/row/a").content.decode()
    assert f"failed: {why}</span>" in page
    assert "Your data is safe" not in page


def test_of_private_data_nothing_is_left_when_the_run_goes(run: Run, owner: User, make_run: Make) -> None:
    open_run = make_run(Dataset.objects.get(), model="b")
    tell(open_run, stopped="done")
    add_run_score(run)
    run.delete()
    assert not Score.objects.exists()
    add_run_score(open_run)
    forget_run_score(open_run)  # the owner does not agree any more
    assert not Score.objects.exists()
    Dataset.objects.update(public=True)
    open_run.refresh_from_db()
    add_run_score(open_run)
    open_run.delete()
    assert Score.objects.get().run is None
