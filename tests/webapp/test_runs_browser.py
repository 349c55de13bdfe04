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


def test_the_threshold_moves_with_the_keyboard(page: Any, owner: User, make_dataset: Any, make_run: Any) -> None:
    run = make_run(make_dataset(owner))
    (run.dir / "toy.predict_2").write_text("0.9 0.1\n0.2 0.8\n0.7 0.3\n0.4 0.6\n1 0\n0 1\n")
    page.goto(f"/runs/{run.pk}")
    slider, recall = page.get_by_role("slider"), page.locator("[data-score='2']")
    assert recall.text_content() == "100\N{NO-BREAK SPACE}%"
    slider.press("ArrowLeft")
    assert page.locator(".threshold output").text_content() == "48\N{NO-BREAK SPACE}%"
    slider.press("End")
    assert slider.get_attribute("aria-valuetext") == "98 %"
    assert recall.text_content() == "33\N{NO-BREAK SPACE}%"


GONE = 'event: end\ndata: {"state": "gone"}\n\n'
