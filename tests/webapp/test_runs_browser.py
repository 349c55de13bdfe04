"""The run page in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from tests.webapp.conftest import CHROMIUM
from webapp.accounts.models import User
from webapp.runs.models import Run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]


@pytest.fixture
def run(owner: User, make_dataset: Any, make_run: Any) -> Run:
    return make_run(make_dataset(owner), state="running", started=timezone.now(), budget_s=1200)


def test_a_run_deleted_in_another_tab(page: Any, run: Run) -> None:
    page.route("**/stream*", lambda route: route.fulfill(body=GONE, content_type="text/event-stream"))
    page.goto(f"/runs/{run.pk}")
    page.locator("#connection").get_by_text("This run was deleted.").wait_for()
    assert page.get_by_text("Each step of the curve").count() == 0
    assert not page.get_by_role("button", name="Stop now, keep the best").is_visible()
    shown = page.locator("[data-started]").first.text_content()
    page.wait_for_timeout(2100)
    assert page.locator("[data-started]").first.text_content() == shown


def test_a_run_deleted_while_the_stream_does_not_come_through(page: Any, run: Run) -> None:
    page.route("**/stream*", lambda route: route.abort())
    page.goto(f"/runs/{run.pk}")
    Run.objects.all().delete()
    page.get_by_role("button", name="Stop now, keep the best").click()
    page.locator("#connection").get_by_text("it was deleted, or you are logged out").wait_for()


GONE = 'event: end\ndata: {"state": "gone"}\n\n'
