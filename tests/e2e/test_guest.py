"""A newcomer drops data on the start page, sees the report, registers, and learns from the same data."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_main_job import make_starter, start, wait_for_points

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_drop_first_register_later(page: Any, site: str, tmp_path: Path) -> None:
    page.goto(site)
    page.set_input_files("#upload-file", make_starter("wine", tmp_path / "raw"))
    page.wait_for_url(re.compile(r"/data/[a-z0-9]{10}"))
    page.get_by_text("You are not registered").wait_for()
    page.locator("#learn").get_by_role("link", name="Register").click()
    page.fill("input[name=email]", f"{uuid.uuid4().hex[:8]}@example.org")
    page.fill("input[name=password1]", f"long-{uuid.uuid4().hex}")
    page.locator("main").get_by_role("button", name="Register").click()
    page.wait_for_url(re.compile(r"/data/[a-z0-9]{10}"))
    start(page, 20)
    wait_for_points(page, 1)
