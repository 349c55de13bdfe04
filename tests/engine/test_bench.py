"""The benchmark: what it finds and skips, that it goes on where it was stopped, and its figures."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from automl_engine.__main__ import _seeds, main
from automl_engine.errors import DataError
from automl_engine.lab.bench import comparisons
from automl_engine.lab.bench.plots import average_ranks, write_plots
from automl_engine.lab.bench.ranks import EVERY, rankings
from automl_engine.lab.bench.report import (
    REFERENCES,
    Result,
    auto_table,
    markdown,
    read_references,
    summarise,
)
from automl_engine.lab.bench.sets import find_sets
from automl_engine.lab.bench.sweep import Plan, _jobs
from automl_engine.portfolio import load
from automl_engine.run.curve import alc
from tests.engine.toys import write_table

ROOT = Path(__file__).parents[2]
CODE = """
class Model:
    train = test = None
    def __init__(self, metadata):
        raise RuntimeError('nothing comes of it')
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip with a table, a bundle, and a zip that is no data set."""
    folder = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    lines = ["a,b,kind"] + [f"{rng.normal(k % 2):.3f},{rng.normal():.3f},{'xy'[k % 2]}" for k in range(60)]
    (folder / "tables").mkdir()
    for name, member, text in (("zipped", "t.csv", "\n".join(lines)), ("broken", "x.bin", "nothing")):
        with zipfile.ZipFile(folder / "tables" / f"{name}.zip", "w") as archive:
            archive.writestr(member, text)
    write_table(folder / "native" / "some_folder")
    return folder


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets, two seeds; a row for images has nothing to do here."""
    folder = tmp_path_factory.mktemp("bench") / "out"
    assert bench(data, folder) == 1  # broken.zip
    return folder


def bench(data: Path, out: Path, *more: str) -> int:
    options = ["--models", "constant,forest_10,image_linear", "--budget", "2,image=9", "--seeds", "2"]
    return main(["bench", "--data", str(data), "--out", str(out), *options, *more])


def results(out: Path) -> list[dict[str, str]]:
    with open(out / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.long
def test_every_set_model_and_seed(out: Path) -> None:
    rows = results(out)
    asked = [(name, model, seed) for name in ("toy", "zipped") for model in ("constant", "forest_10") for seed in "01"]
    assert [(row["set"], row["model"], row["seed"]) for row in rows] == asked
    for row in rows:
        scores = json.loads((out / "runs" / row["set"] / row["model"] / row["seed"] / "scores.json").read_text())
        assert (float(row["alc"]), float(row["nauc"])) == (scores["alc"], scores["nauc"])
        assert (row["modality"], float(row["budget_s"])) == ("tabular", 2)
        assert row["stopped"] in ("done", "budget")  # two seconds of a busy machine may not be enough
        assert float(row["wall_s"]) > float(row["first_prediction_s"]) > 0
    run = json.loads((out / "runs" / "toy" / "forest_10" / "1" / "run.json").read_text())
    assert (run["name"], run["seed"], run["budget_s"]) == ("tabular_forest_10", 1, 2)
    assert not list(out.rglob("model.zip"))


@pytest.mark.long
def test_auto_without_a_row_and_with_one_that_is_off(data: Path, tmp_path: Path) -> None:
    models = ["auto-tabular_forest", "auto+tabular_ensemble", "auto-image_linear"]
    options = ["--models", ",".join(models), "--budget", "3", "--seeds", "1", "--sets", "toy", "--clock", "virtual"]
    assert main(["bench", "--data", str(data), "--out", str(tmp_path / "out"), *options]) == 0
    assert [row["model"] for row in results(tmp_path / "out")] == models[:2]  # the third is for images
    used = {}
    for model in models[:2]:
        run = json.loads((tmp_path / "out" / "runs" / "toy" / model / "0" / "run.json").read_text())
        used[model] = {row["name"] for row in run["params"]["rows"] if row["modality"] == "tabular"}
    usual = {row.name for row in load() if row.modality == "tabular" and row.enabled}
    assert used == {models[0]: usual - {"tabular_forest"}, models[1]: usual | {"tabular_ensemble"}}


@pytest.mark.long
def test_the_table_and_the_plots(out: Path) -> None:
    table = (out / "table.md").read_text()
    summary = json.loads((out / "summary.json").read_text())
    assert [row["model"] for row in summary["models"]] == ["forest_10", "constant"]
    assert summary["models"][0]["wins"] == 2
    assert "broken is left out: " in table
    assert summary["machine"]["cores"] == os.cpu_count()
    assert summary["versions"]["numpy"] == np.__version__
    assert {plot["file"] for plot in summary["plots"]} == {path.name for path in (out / "plots").iterdir()}
    for plot in summary["plots"]:
        assert f"(plots/{plot['file']})" in table
        ElementTree.parse(out / "plots" / plot["file"])


@pytest.mark.long
def test_it_goes_on_where_it_was(data: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a torn run is made again, and one that was asked for differently."""
    finished, torn = (out / "runs" / "toy" / "constant" / seed for seed in "01")
    before = (finished / "start.txt").read_text()
    (torn / "bench.json").unlink()
    (torn / "start.txt").unlink()
    assert bench(data, out) == 1
    assert "8 runs, 7 of them done already" in capsys.readouterr().out
    assert (finished / "start.txt").read_text() == before
    assert (torn / "start.txt").exists()
    assert len(results(out)) == 8
    assert bench(data, out, "--sets", "toy", "--models", "constant", "--t0", "30") == 0
    assert "2 runs, 0 of them done already" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_ends_the_run_too(data: Path, tmp_path: Path, number: signal.Signals) -> None:
    options = ["--data", str(data), "--sets", "toy", "--models", "tabular_lightgbm", "--out", str(tmp_path / "out")]
    own = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children are deaf to it
    try:
        process = subprocess.Popen([sys.executable, "-m", "automl_engine", "bench", *options], cwd=ROOT)
    finally:
        signal.signal(signal.SIGINT, own)
    run_dir = tmp_path / "out" / "runs" / "toy" / "tabular_lightgbm" / "0"
    end = time.time() + 60
    while not (run_dir / "start.txt").exists():
        assert time.time() < end
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(20) == 130
    assert not (run_dir / "bench.json").exists()
    assert json.loads((run_dir / "scores.json").read_text())["stopped"] in ("user", "done")


@pytest.mark.long
def test_challenge_code_that_predicts_nothing(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = tmp_path / "my_code"
    code.mkdir()
    (code / "model.py").write_text(CODE)
    assert bench(data, tmp_path / "out", "--sets", "toy", "--models", str(code), "--seeds", "1") == 1
    (row,) = results(tmp_path / "out")
    assert (row["model"], row["predictions"], row["stopped"], float(row["alc"])) == ("my_code", "0", "failed", 0)
    assert "nothing comes of it" in capsys.readouterr().err
    assert row["first_prediction_s"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--models", "forrest"], "but got 'forrest'"),
        (["--sets", "toy,nowhere"], "but not nowhere"),
    ],
)
def test_what_does_not_exist(
    data: Path, tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(data, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("budget", ["x", "0", "120,60", "tabular=60", "120,tables=60"])
def test_a_budget_that_is_none(data: Path, tmp_path: Path, budget: str) -> None:
    with pytest.raises(SystemExit):
        bench(data, tmp_path, "--budget", budget)


def test_sets_with_the_same_name(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "raw")
    assert list(find_sets(tmp_path / "raw", tmp_path / "out")) == ["broken", "toy", "zipped"]
    shutil.copytree(data / "tables", tmp_path / "raw" / "again")
    with pytest.raises(DataError, match="Two data sets are called broken"):
        find_sets(tmp_path / "raw", tmp_path / "out")
    assert len(find_sets(tmp_path / "raw", tmp_path / "raw" / "again")) == 3


def result(set_: str, model: str, seed: int, naucs: list[float], modality: str = "image") -> Result:
    times = [float(2**k) for k in range(len(naucs))]
    scores = {"nauc": naucs[-1] if naucs else 0.0, "first_prediction_s": times[0] if times else None}
    return Result(
        set=set_,
        modality=modality,
        model=model,
        seed=seed,
        budget_s=120,
        t0_s=60,
        alc=alc(times, naucs, 120, 60),
        best_nauc=max(naucs, default=0),
        accuracy=None,
        predictions=len(naucs),
        wall_s=123.4,
        stopped="done",
        reason="",
        device="cpu",
        curve=list(zip(times, naucs, strict=True)),
        **scores,
    )


def test_models_that_do_not_differ_significantly_are_joined() -> None:
    """Demšar's own figures: q is 2.343 for three models, 2.569 for four."""
    found = [
        result(f"set{n}", model, 0, [nauc + 0.01 * n])
        for n in range(10)
        for model, nauc in (("good", 0.9), ("fair", 0.5), ("poor", 0.4), ("worst", 0.1))
    ]
    (ranked,) = rankings(summarise([*found, result("set0", "once", 0, [0.99])], [])["sets"])
    assert ranked is not None
    assert (ranked.models, ranked.ranks) == (["good", "fair", "poor", "worst"], [1, 2, 3, 4])
    assert ranked.critical_difference == pytest.approx(2.569 * (4 * 5 / 60) ** 0.5, abs=1e-3)
    assert ranked.alike() == [(0, 1), (1, 2), (2, 3)]
    assert ranked.p_value < 1e-5
    ElementTree.fromstring(average_ranks(ranked, ["good", "fair", "poor", "worst"]))
    assert rankings(summarise(found[:4], [])["sets"]) == []  # one set


def test_what_the_papers_show() -> None:
    """Few models are for all kinds of data: the winners are ranked as one, and the models of a kind on its sets."""
    image = {"image_autoclint": 0.3, "image_baseline_linear": 0.2, "image_inception_v3": 0.6}
    tabular = {"tabular_ensemble": 0.9}
    found = [
        result(f"{modality}{n}", model, 0, [0.5 * nauc, nauc], modality)
        for n in range(3)
        for modality, own in (("image", image), ("tabular", tabular))
        for model, nauc in {"auto": 0.8, "constant": 0.0, **own}.items()
    ]
    summary = summarise([*found, result("series", "auto", 0, [0.5], "timeseries")], [])
    ranks = {ranked["kind"]: (ranked["models"], ranked["sets"]) for ranked in summary["ranks"]}
    assert ranks[EVERY] == (["auto", "winners", "constant"], 6)
    assert ranks["image"] == (["auto", "image_inception_v3", "image_autoclint", "image_baseline_linear", "constant"], 3)
    assert ranks["tabular"] == (["tabular_ensemble", "auto", "constant"], 3)
    assert "timeseries" not in ranks
    duel = summary["winners"]
    assert (duel["above"], duel["sets"]) == (3, 6)
    assert [row["winner"] for row in duel["by_modality"]] == ["image_autoclint", "tabular_ensemble"]
    ours = summary["autocv"]["ours"]
    assert [row["dataset"] for row in ours] == ["image0", "image1", "image2"]
    alcs = {nauc: alc([1, 2], [0.5 * nauc, nauc], 120, 60) for nauc in (0.2, 0.6)}
    assert ours[0]["values"] == pytest.approx([0.2, alcs[0.2], None, None, 0.6, alcs[0.6]])
    auto = next(row for row in summary["times"] if row["model"] == "auto")
    assert auto["duration_s"]["by_modality"] == {"image": 2, "tabular": 2, "timeseries": 1}
    assert auto["first_prediction_s"]["overall"] == 1
    text = "\n".join(comparisons.markdown(summary))
    assert "| image0 | ours, 120 s | 0.200 |" in text
    assert "| Munster | paper: other data, 1200 s, P100 | 0.963 | 0.822 |" in text
    assert "| tabular | 3 | 0." in text


def test_seeds_of_one_model(tmp_path: Path) -> None:
    found = [result("a", "auto", seed, [0.5]) for seed in range(3)] + [result("a", "linear", 0, [0.4])]
    summary = summarise(found, [])
    assert (summary["seeds"], summary["repeated"]) == (3, ["auto"])
    assert summarise(found[:3], [])["repeated"] == []
    plan = Plan(tmp_path, tmp_path, ["auto", "tabular_linear"], {"": 9.0}, 60, _seeds("1,auto=3"), "cpu")
    jobs = _jobs(plan, {name: name for name in plan.models}, {"a": "tabular"}, load())
    assert [(job.model, job.order["seed"]) for job in jobs] == [
        *(("auto", seed) for seed in range(3)),
        ("tabular_linear", 0),
    ]
    for wrong in ("0", "x", "auto=3", "1,2", "1,auto=1.5"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be"):
            _seeds(wrong)


def test_medians_ranks_and_references(tmp_path: Path) -> None:
    found = [
        *(result("cifar10", "a<b", seed, [0.2, nauc]) for seed, nauc in enumerate((0.9, 0.7, 0.8))),
        result("cifar10", "other", 0, [0.95, 0.5]),
        result("mine", "other", 0, [], "text"),
        result("mine", "a<b", 0, [-0.1], "text"),
    ]
    summary = summarise(found, read_references(REFERENCES))
    cifar, mine = summary["sets"]
    cell = cifar["cells"]["a<b"]
    assert cell["nauc"] == [0.8, 0.7, 0.9]
    assert cell["alc"][0] == found[2].alc
    assert cifar["cells"]["other"]["fall"] == pytest.approx(0.45)
    assert (cifar["reference"]["entry"], cifar["reference"]["alc"]) == ("AutoCLINT", 0.609)
    assert cifar["best_known_nauc"] == 0.8
    assert mine["reference"] is None
    ranks = {row["model"]: (row["average_rank"], row["wins"], row["above_reference"]) for row in summary["models"]}
    assert ranks == {"a<b": (1.5, 1, 1), "other": (1.5, 1, 0)}
    assert mine["cells"]["other"]["first_prediction_s"] is None
    summary |= {"made": "2020-01-01", "machine": {"cpu": "toy", "cores": 2, "memory_gb": 4, "gpus": []}, "faults": []}
    summary["plots"] = write_plots(found, summary, tmp_path)
    for plot in summary["plots"]:
        ElementTree.parse(tmp_path / plot["file"])
    text = markdown(summary)
    assert f"**{cell['alc'][0]:.3f} ({cell['alc'][1]:.3f} to {cell['alc'][2]:.3f})**" in text
    assert "0.609 AutoCLINT" in text


def test_auto_against_the_rest() -> None:
    """Margins over the published best, the best baseline and both; what the first prediction was worth."""
    found = [
        result("cifar10", "auto", 0, [0.6, 0.8]),
        result("cifar10", "baseline_forest", 0, [0.5]),
        result("cats_dogs", "auto", 0, [0.3, 0.6, 0.5]),
        result("mine", "baseline_tuned", 0, [0.9], "text"),
        result("mine", "auto", 0, [0.75], "text"),
    ]
    summary = summarise(found, read_references(REFERENCES))
    cats, cifar, mine = summary["sets"]
    assert cifar["baseline"] == {"model": "baseline_forest", "alc": found[1].alc}
    assert (cats["baseline"], mine["reference"]) == (None, None)
    assert cats["cells"]["auto"]["first_share"][0] == pytest.approx(0.6)
    (text,) = auto_table(summary)
    cells = [[cell.strip() for cell in line.split("|")[1:]] for line in text.splitlines()[1:]]
    lines = {first: rest for first, *rest in cells}
    alc_, over = found[0].alc, found[0].alc - 0.609
    figures = [alc_, over, alc_ - found[1].alc, over, alc_ / 0.8, alc_ / 0.8]
    assert lines["cifar10"][:6] == [f"{figure:.3f}" for figure in figures]
    assert lines["cifar10"][6:9] == ["–", "0.750", "0.000"]
    assert lines["cats_dogs"][8] == "0.100"
    assert lines["mine"][5:7] == [f"{found[4].alc / 0.9:.3f}", "-0.150"]
    assert lines["**mean of image**"][1] == f"{(over + found[2].alc - 0.319) / 2:.3f}"
    assert auto_table(summarise(found[1:2], [])) == []


def test_references_are_sound() -> None:
    """A single prediction's ALC follows from its time and NAUC; the published figures are rounded."""
    rows = read_references(REFERENCES)
    assert len({(row["set"], row["entry"]) for row in rows}) == len(rows) == 40
    for row in rows:
        if row["conditions"].startswith("one prediction at") and row["first_s"] and row["nauc"]:
            expected = alc([row["first_s"]], [row["nauc"]], row["budget_s"], row["t0_s"])
            assert row["alc"] == pytest.approx(expected, abs=0.0025), row


def test_references_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("set,alc\nx,1\n")
    with pytest.raises(DataError, match=r"mine\.csv cannot be read as a CSV with set, entry"):
        read_references(tmp_path / "mine.csv")
