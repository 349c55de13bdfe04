"""The guide in a browser: it fits a phone, breaks no rule that a machine can check, and its figure can be moved."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.accessibility import check
from tests.webapp.conftest import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium"),
]
SHOTS = os.environ.get("SHOTS", "")


def shoot(page: Any, name: str) -> None:
    for width in (375, 1280) if SHOTS else ():
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if width == 1280 and "dark" in name else "light")
        page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)


@pytest.mark.parametrize("path", ["", "/starting-kit", "/format", "/predictions", "/score", "/terms", "/credits"])
def test_pages_fit_a_phone(page: Any, live_server: Any, path: str) -> None:
    page.goto(f"{live_server.url}/guide{path}")
    shoot(page, f"guide{path.replace('/', '-')}")
    check(page)


def test_a_step_of_the_figure_moves(page: Any, live_server: Any) -> None:
    page.goto(f"{live_server.url}/guide/score")
    output = page.locator("[data-score] output")
    before = float(output.inner_text().split()[1])
    page.get_by_role("slider", name="Prediction 2").press("ArrowUp")
    assert float(output.inner_text().split()[1]) > before
    handle = page.get_by_role("slider", name="Prediction 1")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] - 80, steps=4)
    page.mouse.up()
    assert float(handle.get_attribute("aria-valuenow")) > 0.6
    assert float(output.inner_text().split()[1]) > before + 0.05


def test_the_ranking_of_a_data_set(page: Any, live_server: Any, owner: Any, make_dataset: Any, make_run: Any) -> None:
    dataset = make_dataset(owner, public=True)
    for model, alc in (("auto", 0.9), ("image_linear", 0.5), ("image_resnet_small", 0.7)):
        make_run(dataset, public=True, model=model, alc=alc)
    for name, path in (
        ("ranking", f"/boards/data/{dataset.pk}"),
        ("boards", "/boards"),
        ("data", f"/data/{dataset.pk}"),
    ):
        page.goto(live_server.url + path)
        shoot(page, name)
        check(page)
