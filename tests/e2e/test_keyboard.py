"""From the upload to a prediction with the keyboard alone, and the focus can always be seen."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_main_job import make_starter, wait_for_points, wait_until_finished

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MOST_STOPS = 60
FOCUS = """() => {
  const at = document.activeElement;
  if (at === document.body) return { name: "", seen: true };
  const names = [at.ariaLabel, at.labels?.[0]?.innerText, at.getAttribute("placeholder"), at.innerText, at.name];
  const marked = [at, ...(at.labels ?? []), at.closest("label")].filter(Boolean).some((one) => {
    const [style, box] = [getComputedStyle(one), one.getBoundingClientRect()];
    const isOutlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return isOutlined && box.width > 4 && box.bottom > 0 && box.top < innerHeight;
  });
  return { name: names.find((name) => name?.trim())?.trim() ?? "", seen: marked };
}"""


def tab_to(page: Any, name: str) -> None:
    """Press Tab until the control of this name (label or text) has the focus."""
    passed = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        found = page.evaluate(FOCUS)
        assert found["seen"], f"{page.url}: the focus on “{found['name']}” cannot be seen"
        if re.match(name, found["name"]):
            return
        passed.append(found["name"])
    pytest.fail(f"{page.url}: “{name}” was not reached with the Tab key, only {passed}")


def press(page: Any, name: str, key: str = "Enter") -> None:
    tab_to(page, name)
    page.keyboard.press(key)


def has_focus(page: Any) -> bool:
    return page.evaluate("document.activeElement !== document.body")


def test_from_upload_to_prediction(page: Any, site: str, tmp_path: Path) -> None:
    page.on(
        "filechooser", lambda chooser: None
    )  # the browser is told now to report dialogs, or the first would be missed
    page.goto(site)
    press(page, "Register$")
    page.wait_for_url(re.compile("signup"))
    tab_to(page, "Email")
    page.keyboard.type(f"{uuid.uuid4().hex[:8]}@example.org")
    tab_to(page, "Password")
    page.keyboard.type(f"long-{uuid.uuid4().hex}")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"^(?!.*signup)"))

    page.goto(f"{site}/data/")
    press(page, "Record")
    press(page, "Close")
    assert page.evaluate(FOCUS)["name"] == "Record"
    page.reload()
    tab_to(page, "Drop your data here")
    with page.expect_file_chooser() as chosen:
        page.keyboard.press("Enter")
    chosen.value.set_files(make_starter("wine", tmp_path / "raw"))
    page.wait_for_url(re.compile(r"/data/[a-z0-9]{10}"))
    page.locator("#learn").wait_for()

    tab_to(page, ".*a first model|1 min")
    page.keyboard.press("ArrowUp")
    assert page.locator("[name=budget_s]:checked").input_value() == "20"
    press(page, "Start training")
    page.wait_for_url(re.compile(r"/runs/[a-z0-9]{10}"))
    wait_for_points(page, 1)
    press(page, "Stop now, keep the best")
    wait_until_finished(page)
    assert has_focus(page), "the button of the focus is gone"
    page.reload()
    press(page, "Use the model")
    page.locator("#try-files").wait_for(timeout=120_000)

    press(page, "Enter one row")
    tab_to(page, "alcohol")
    page.keyboard.type("13.2")
    press(page, "Predict")
    page.locator("#answer .answer").wait_for()
    assert page.evaluate(FOCUS)["name"] == "Predict"
    tab_to(page, "Or drop a table")
    with page.expect_file_chooser():
        page.keyboard.press("Enter")
