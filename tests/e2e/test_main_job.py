"""The main job, as its user does it: register, upload, report, learn, watch, download, predict, try it."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT
from webapp.ops import starters

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TOLERANCE = 1e-3
IMAGES = ROOT / "docs" / "images"
STARTERS = {"tabular": "wine", "image": "digits", "text": "docstrings"}


def make_starter(name: str, folder: Path) -> Path:
    folder.mkdir()
    target = folder / starters.STARTERS[name].file_name
    subprocess.run([sys.executable, "-m", "webapp.ops.starters", name, str(target)], check=True, cwd=ROOT)
    return target


def register(page: Any, site: str) -> None:
    page.goto(f"{site}/accounts/signup/")
    page.fill("input[name=email]", f"{uuid.uuid4().hex[:8]}@example.org")
    page.fill("input[name=password1]", f"long-{uuid.uuid4().hex}")
    page.get_by_role("button", name="Register").click()
    page.wait_for_url(re.compile(r"^(?!.*signup)"))


def upload(page: Any, site: str, source: Path) -> None:
    """Until the report (or the error) is there, with no reload of ours."""
    page.goto(f"{site}/data/")
    page.set_input_files("#upload-file", source)
    page.wait_for_url(re.compile(r"/data/[a-z0-9]{10}"))
    page.wait_for_selector("#learn, .message.error, .card .error")


def start(page: Any, budget_s: int) -> None:
    page.check(f"input[name=budget_s][value='{budget_s}']")
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"/runs/[a-z0-9]{10}"))


def point_count(page: Any) -> int:
    return page.locator("[data-region=table] tbody tr:not(:has(td[colspan]))").count()


def wait_for_points(page: Any, count: int, limit_s: float = 60) -> None:
    end = time.monotonic() + limit_s
    while point_count(page) < count:
        assert time.monotonic() < end, f"only {point_count(page)} of {count} points after {limit_s} s"
        time.sleep(0.1)


def wait_until_finished(page: Any) -> None:
    page.wait_for_selector("[data-region=status] .badge.good, .badge.good:has-text('finished')", timeout=120_000)


def download_model(page: Any, folder: Path) -> Path:
    page.get_by_role("link", name="Use the model").click()
    link = page.get_by_role("link", name=re.compile("Download model.zip"))
    link.wait_for(timeout=120_000)
    with page.expect_download() as waiting:
        link.click()
    target = folder / "model.zip"
    waiting.value.save_as(target)
    return target


def try_on_site(page: Any, source: Path, folder: Path) -> list[list[str]]:
    page.set_input_files("#try-files", source)
    page.locator("form:has(#try-files) button").click()
    page.wait_for_selector("#answer .answer")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="All as CSV").click()
    waiting.value.save_as(folder / "site.csv")
    return read_csv(folder / "site.csv")


def predict_at_home(model_zip: Path, folder: Path) -> list[list[str]]:
    """In a fresh virtual environment with nothing but the bundle's own requirements."""
    home = folder / "home"
    with zipfile.ZipFile(model_zip) as archive:
        archive.extractall(home)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", home / "requirements.txt"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(install, check=True, env=environment)
    command = [python, home / "predict.py", home / "sample" / "input", "-o", folder / "home.csv"]
    subprocess.run(command, check=True, env=environment, cwd=folder)
    return read_csv(folder / "home.csv")


def read_csv(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


@pytest.mark.parametrize(
    "modality",
    [
        "text",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("image", "tabular")),
    ],  # to install torch takes long
)
def test_from_raw_data_to_the_model_in_your_hand(page: Any, site: str, tmp_path: Path, modality: str) -> None:
    register(page, site)
    upload(page, site, make_starter(STARTERS[modality], tmp_path / "raw"))
    _keep_screenshot(page, modality, "data")
    start(page, 20)
    page.evaluate("window.sameDocument = true")
    wait_for_points(page, 1)
    first = point_count(page)
    wait_for_points(page, max(2, first))
    _keep_screenshot(page, modality, "live")
    wait_until_finished(page)
    assert page.evaluate("window.sameDocument") is True  # the curve grew with no reload
    assert float(page.locator("dl.facts div", has_text="NAUC").locator("dd").first.inner_text()) > 0.3
    model_zip = download_model(page, tmp_path)

    at_home = predict_at_home(model_zip, tmp_path)
    sample = zipped(tmp_path / "home" / "sample" / "input", tmp_path / "sample.zip")
    on_site = try_on_site(page, sample, tmp_path)
    assert at_home[0] == on_site[0]
    assert len(at_home) == len(on_site) > 2
    for home, seen in zip(at_home[1:], on_site[1:], strict=True):
        assert home[1] == seen[1]
        assert [float(v) for v in home[2:]] == pytest.approx([float(v) for v in seen[2:]], abs=TOLERANCE)


@pytest.mark.long
def test_stop_and_keep_the_best(page: Any, site: str, tmp_path: Path) -> None:
    register(page, site)
    upload(page, site, make_starter("digits", tmp_path / "raw"))
    start(page, 300)
    wait_for_points(page, 1)
    asked = time.monotonic()
    page.get_by_role("button", name="Stop now, keep the best").click()
    wait_until_finished(page)
    assert time.monotonic() - asked < 30
    page.get_by_text("You stopped it").first.wait_for()
    assert zipfile.is_zipfile(download_model(page, tmp_path))


def test_a_hostile_zip_gets_one_sentence(page: Any, site: str, tmp_path: Path) -> None:
    register(page, site)
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("cats/1.txt", "a cat")
        archive.writestr("../../outside.txt", "gotcha")
    upload(page, site, hostile)
    page.get_by_text("outside.txt").first.wait_for()
    assert page.get_by_role("button", name="Start training").count() == 0
    assert not list(tmp_path.parent.rglob("outside.txt"))


def _keep_screenshot(page: Any, modality: str, name: str) -> None:
    """The README's pictures, remade when AUTODL_SCREENSHOTS is set."""
    if modality == "image" and os.environ.get("AUTODL_SCREENSHOTS"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1500)
        page.screenshot(path=IMAGES / f"{name}.png")
