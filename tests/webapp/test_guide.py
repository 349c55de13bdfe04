"""The guide: every page, the samples as they would be uploaded, the script of the starting kit, texts to edit."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from formatters.base import Options
from formatters.convert import convert
from webapp.guide import samples
from webapp.guide.scripts import autodl_bundle
from webapp.guide.views import PAGES, STEPS

pytestmark = pytest.mark.django_db
IMAGES = dict.fromkeys(("class-folders.zip", "labelled-files.zip"), "image")
MODALITIES = {**IMAGES, "texts.csv": "text", "series.csv": "timeseries"}


@pytest.mark.parametrize("path", ["", "/starting-kit", "/format", "/predictions", "/score", "/terms", "/credits"])
def test_pages(client: Any, path: str) -> None:
    page = client.get(f"/guide{path}").content.decode()
    assert page.count('aria-current="page"') == (2 if path == "" else 1)
    for title in PAGES.values():
        assert f">{title}</a>" in page
    assert "<script>" not in page


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_each_sample_is_read_as_it_is(client: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(client.get(f"/guide/samples/{name}").content)
    report = convert(path, tmp_path / "out", Options(), say=lambda line: None)
    assert report["modality"] == MODALITIES.get(name, "tabular")
    assert (report["counts"]["samples"], report["counts"]["classes"]) == (40, 2)
    assert not [doubt for doubt in report["doubts"] if doubt["level"] == "warning"]


def test_unknown_sample(client: Any) -> None:
    assert client.get("/guide/samples/x.csv").status_code == 404


@pytest.mark.parametrize("kind", ["table", "images"])
def test_the_script_makes_what_we_read(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "flowers.csv", tmp_path / "out"
    if kind == "table":
        source.write_text("a,b,flower\n" + "".join(f"{i},{i % 3},{'iris' if i % 2 else 'lily'}\n" for i in range(40)))
    else:
        zipfile.ZipFile(io.BytesIO(samples.class_folders())).extractall(tmp_path)
        source = tmp_path / "fruit"
    assert autodl_bundle.main(["make", str(source), str(out)]) == 0
    assert autodl_bundle.main(["check", str(out)]) == 0
    assert "30 training and 10 test samples in 2 classes" in capsys.readouterr().out
    report = convert(out, tmp_path / "converted", Options(), say=lambda line: None)
    assert report["counts"] == {"samples": 40, "train": 30, "test": 10, "classes": 2}
    assert report["split"]["how"] == "given"


def test_the_script_finds_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zipfile.ZipFile(io.BytesIO(samples.bundle())).extractall(tmp_path)
    (solution,) = tmp_path.glob("*.solution")
    good = solution.read_text()
    solution.write_text(good[4:])
    assert autodl_bundle.main(["check", str(tmp_path)]) == 2
    assert "must have 10 lines of 2 numbers" in capsys.readouterr().err
    solution.write_text(good.replace("1", "0"))
    assert autodl_bundle.main(["check", str(tmp_path)]) == 2
    assert "there is nothing to score" in capsys.readouterr().err
    solution.write_text(good.replace("1", "2", 1))
    assert autodl_bundle.main(["check", str(tmp_path)]) == 2
    assert f"line 1 of {solution.name} has 2; write 0 or 1." in capsys.readouterr().err
    solution.write_text(good)
    (records,) = tmp_path.glob("*.data/train/sample*")
    records.write_bytes(records.read_bytes()[:-9])
    assert autodl_bundle.main(["check", str(tmp_path)]) == 2
    assert "record 29" in capsys.readouterr().err
    assert autodl_bundle.main(["mend"]) == 2


def test_the_starting_kit(client: Any, administrator: Any, make_dataset: Any) -> None:
    starter = make_dataset(administrator, public=True, starter=True, description="300 generated series")
    own = make_dataset(administrator, public=True)
    page = client.get("/guide/starting-kit").content.decode()
    assert f"/guide/starting-kit/{starter.pk}/raw" in page
    assert f"/data/{starter.pk}/download" in page
    assert "300 generated series" in page
    assert client.get(f"/guide/starting-kit/{starter.pk}/raw").status_code == 200
    assert client.get(f"/guide/starting-kit/{own.pk}/raw").status_code == 404
    assert "autodl_bundle.py" in client.get("/guide/starting-kit/autodl_bundle.py")["Content-Disposition"]


def test_the_figure_starts_with_the_area_of_its_steps(client: Any) -> None:
    page = client.get("/guide/score").content.decode()
    assert "ALC 0.729" in page
    assert page.count('class="handle"') == len(STEPS)


@pytest.mark.parametrize("name", ["terms", "credits"])
def test_an_administrator_edits_a_text(client: Any, owner_client: Any, admin_client: Any, name: str) -> None:
    original = client.get(f"/guide/{name}").content.decode()
    for other in (client, owner_client):
        assert other.get(f"/guide/{name}/edit").status_code == 404
        assert other.post(f"/guide/{name}/edit", {"body": "mine"}).status_code == 404
    assert "<textarea" in admin_client.get(f"/guide/{name}/edit").content.decode()
    admin_client.post(f"/guide/{name}/edit", {"body": "Be kind.\n\n<script>alert(1)</script> https://example.org"})
    page = client.get(f"/guide/{name}").content.decode()
    assert "<p>Be kind.</p>" in page
    assert "<script>alert" not in page
    assert '<a href="https://example.org"' in page
    admin_client.post(f"/guide/{name}/edit", {"body": ""})
    assert client.get(f"/guide/{name}").content.decode() == original
