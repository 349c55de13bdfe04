"""The published benchmark: what the command copies, what the page shows and serves, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from automl_engine.lab.bench.report import Result, write_report
from webapp.leaderboard import benchmark

pytestmark = pytest.mark.django_db
VERSIONS = {"numpy": "1.2.3"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two models on one set, one of them on a second."""
    results = [
        Result(*key, 60, 60, alc, alc, alc, None, 0.5, 1, 61.0, "done", "", "cpu", VERSIONS, [(0.5, alc)])
        for *key, alc in (
            ("titanic", "tabular", "auto", 0, 0.71),
            ("titanic", "tabular", "auto", 1, 0.73),
            ("titanic", "tabular", "<b>", 0, 0.60),
            ("mine", "text", "auto", 0, 0.9),
        )
    ]
    write_report(tmp_path / "out", results, ["broken is left out: no files"])
    (tmp_path / "out" / "plots" / "evil.html").write_text("<script>")
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def nothing_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "SHIPPED", tmp_path / "none")


def test_a_new_site_shows_the_one_that_ships(
    out: Path, client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(benchmark, "SHIPPED", tmp_path / "shipped")
    shutil.copytree(out / "plots", tmp_path / "shipped")
    for name in benchmark.FILES:
        shutil.copy(out / name, tmp_path / "shipped")
    assert "histogram boosting" in client.get("/benchmark").content.decode()
    assert client.get("/benchmark/alc_by_modality.svg").status_code == 200
    call_command("export_benchmark", str(tmp_path / "static"), verbosity=0)
    page = (tmp_path / "static" / "index.html").read_text()
    for name in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (tmp_path / "static" / name).is_file(), name
    assert "Munster" in page
    assert "0.8223" in page
    with pytest.raises(CommandError, match="is there already"):
        call_command("export_benchmark", str(tmp_path / "static"))


def test_page(out: Path, client: Client) -> None:
    assert "No benchmark is published yet" in client.get("/benchmark").content.decode()
    with pytest.raises(CommandError, match="No benchmark is published yet"):
        call_command("export_benchmark", str(out / "static"))
    assert "/benchmark" not in client.get("/boards").content.decode()
    call_command("publish_benchmark", str(out), verbosity=0)
    assert 'href="/benchmark"' in client.get("/boards").content.decode()
    page = client.get("/benchmark").content.decode()
    for shown in (
        "0.720",
        "0.710 to 0.730",
        "0.676",
        "histogram boosting",
        "broken is left out",
        "numpy 1.2.3",
        "1 min",
    ):
        assert shown in page, shown
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<img") == 1 + 5 + 2  # the logo, the overviews, a plot a set
    assert "medians of 2 seeds, with the lowest and the highest; the others are from one run" in page
    assert "Run it again" not in page


def test_files(out: Path, client: Client, media: Path) -> None:
    call_command("publish_benchmark", str(out), verbosity=0)
    plot = client.get("/benchmark/curves_titanic.svg")
    assert plot["Content-Type"] == "image/svg+xml"
    assert plot.content == (out / "plots" / "curves_titanic.svg").read_bytes()
    assert client.get("/benchmark/results.csv").content == (out / "results.csv").read_bytes()
    (media / "secret.svg").write_text("secret")
    for name in ("evil.html", "..", "none.svg", "../secret.svg", "..%2Fsecret.svg", "%2Fetc%2Fpasswd"):
        assert client.get(f"/benchmark/{name}").status_code == 404, name
    assert benchmark.file("../secret.svg") is None


def test_publishing_again(out: Path, client: Client, media: Path) -> None:
    """It replaces all of it; a folder that bench did not write changes nothing."""
    call_command("publish_benchmark", str(out), verbosity=0)
    (out / "plots" / "curves_mine.svg").unlink()
    call_command("publish_benchmark", str(out), verbosity=0)
    assert client.get("/benchmark/curves_mine.svg").status_code == 404
    (out / "results.csv").unlink()
    with pytest.raises(CommandError, match=r"results\.csv is missing"):
        call_command("publish_benchmark", str(out))
    assert client.get("/benchmark/results.csv").status_code == 200


def test_what_the_papers_show(client: Client, admin_client: Client, tmp_path: Path) -> None:
    cells = {"auto": 0.7, "constant": 0.0, "image_autoclint": 0.5, "image_resnet50_v2": 0.4}
    results = [
        Result(*key, 120, 60, alc, alc, alc, None, 0.5, 1, 61.0, "done", "", "cpu", VERSIONS, [(0.5, alc)], "virtual")
        for key, alc in ((("photos", "image", model, 0), alc) for model, alc in cells.items())
    ]
    results += [replace(result, set="drawings") for result in results]
    write_report(tmp_path / "more", results, [])
    call_command("publish_benchmark", str(tmp_path / "more"), verbosity=0)
    page = client.get("/benchmark").content.decode()
    for shown in ("ours, 2 min", "0.4000", "published, other data: medical", "on 2 of 2 data sets", "virtual clock"):
        assert shown in page, shown
    for name in ("nauc_by_modality", "durations", "auto_against_winners", "ranks_image"):
        assert client.get(f"/benchmark/{name}.svg").status_code == 200, name
        assert f"/benchmark/{name}.svg" in page
    again = admin_client.get("/benchmark").content.decode()
    models = "auto,constant,image_autoclint,image_resnet50_v2"
    assert f"--models {models} --budget 120 --seeds 1 --clock virtual --out bench/" in again


def test_the_command_names_the_budget_of_each_kind_of_data(out: Path, admin_client: Client) -> None:
    call_command("publish_benchmark", str(out), verbosity=0)
    shown = json.loads((out / "summary.json").read_text())
    shown["sets"] = [{**row, "budget_s": {"text": 120}.get(row["modality"], 60)} for row in shown["sets"]]
    shown["sets"] += [{**row, "modality": "image"} for row in shown["sets"] if row["modality"] == "tabular"]
    (benchmark.published() / "summary.json").write_text(json.dumps(shown))
    assert "--budget 60,text=120 --seeds" in admin_client.get("/benchmark").content.decode()
