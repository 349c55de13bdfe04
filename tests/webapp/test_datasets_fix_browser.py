"""Samples are chosen, enlarged and excluded with the keyboard alone, and the pages stay accessible."""

from __future__ import annotations

from typing import Any

import pytest

from tests.accessibility import check
from tests.webapp.conftest import CHROMIUM
from webapp.accounts.models import User
from webapp.datasets.models import Dataset

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]


def test_with_the_keyboard(page: Any, owner: User, make_dataset: Any) -> None:
    dataset = make_dataset(owner)
    page.goto(f"/data/{dataset.id}")
    check(page)
    assert not page.locator("#fix").is_visible()
    page.get_by_label("Select dark/test0.png").focus()
    page.keyboard.press("Space")
    page.get_by_text("1 selected", exact=True).first.wait_for()
    page.keyboard.press("Tab")  # to Enlarge
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="dark/test0.png")
    dialog.wait_for()
    check(page)
    page.keyboard.press("ArrowRight")
    page.get_by_role("dialog", name="light/test1.png").wait_for()
    page.locator("#enlarged-pick").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Enlarge light/test1.png"
    page.get_by_text("2 selected", exact=True).first.wait_for()
    check(page)
    page.get_by_label("train", exact=True).check()  # another part of the samples: the choice stays
    page.get_by_label("Select dark/train0.png").wait_for()
    page.get_by_label("Select dark/train0.png").check()
    page.get_by_role("button", name="Exclude").focus()
    page.keyboard.press("Enter")
    page.get_by_text("3 samples excluded").first.wait_for()
    version = Dataset.objects.exclude(pk=dataset.pk).get()
    assert sorted(version.options["edits"][0]["items"]) == ["dark/test0.png", "dark/train0.png", "light/test1.png"]
    check(page)
    page.get_by_role("button", name="Undo").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Version 2 is undone").wait_for()
