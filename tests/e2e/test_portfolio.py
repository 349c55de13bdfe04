"""The administrator's portfolio pages in a real browser: they can be used by everybody, and on a phone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.accessibility import check

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROW = """
- {name: found, modality: image, model: image_resnet, params: {lr: 0.1}, origin: a search, enabled: false}
"""


def log_in_as_administrator(page: Any, site: str, started: str) -> None:
    """With the password that the first start shows."""
    found = re.search(r"First administrator: (\S+) +password: (\S+)", started)
    assert found
    page.goto(f"{site}/accounts/login/")
    page.get_by_label("Email").fill(found[1])
    page.get_by_label("Password").fill(found[2])
    page.get_by_role("main").get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url(f"{site}/")


def test_the_portfolio(page: Any, site: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    log_in_as_administrator(page, site, (tmp_path_factory.getbasetemp() / "site0" / "up.log").read_text())
    page.goto(f"{site}/portfolio")
    check(page)
    page.get_by_role("link", name="Import a file").click()
    check(page)
    page.locator("#id_row-file").set_input_files({"name": "row.yaml", "mimeType": "text/yaml", "buffer": ROW.encode()})
    page.get_by_role("button", name="Import the configuration").click()
    page.get_by_role("heading", name="found").wait_for()
    page.get_by_label("Parameters").fill("lr: 0.2")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("lr 0.1 → 0.2").wait_for()
    check(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=re.compile("Restore the content")).click()
    page.get_by_text("is restored, as version 3").wait_for()
    assert "lr: 0.1" in page.get_by_label("Parameters").input_value()
    page.get_by_role("switch", name="found in use").click()
    page.get_by_text("is on for runs").wait_for()
