"""No page of the main job breaks a rule of WCAG 2.2 AA that a machine can check, while an engine works.

More pages and states: tests/webapp/test_accessibility_browser.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.accessibility import check
from tests.e2e.test_main_job import make_starter, register, start, upload, wait_for_points, wait_until_finished

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FOR_EVERYBODY = ("/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/boards", "/status", "/-")


@pytest.mark.parametrize("path", FOR_EVERYBODY)
def test_pages_for_everybody(page: Any, site: str, path: str) -> None:
    page.goto(site + path)
    check(page)


def test_pages_of_the_main_job(page: Any, site: str, tmp_path: Path) -> None:
    register(page, site)
    check(page)
    upload(page, site, make_starter("wine", tmp_path / "raw"))
    check(page)
    start(page, 60)
    wait_for_points(page, 1)
    check(page)
    stop = page.get_by_role("button", name="Stop now, keep the best")
    if stop.is_visible():
        stop.click()
    wait_until_finished(page)
    run = page.url
    check(page)
    page.get_by_role("link", name="Use the model").click()
    page.get_by_role("link", name=re.compile("Download model.zip")).wait_for(timeout=120_000)
    check(page)
    page.goto(run)
    page.get_by_role("link", name="Why this answer").first.click()
    page.get_by_text("Each column took the values of other rows").wait_for()
    check(page)
    for path in ("/", "/data/", "/runs/", "/account/", "/account/storage", "/account/tokens"):
        page.goto(site + path)
        check(page)
