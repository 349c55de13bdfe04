"""The samples of a data set in one scrolling box: parts near the view hold samples, others give theirs up."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from automl_engine.dataset import writer
from automl_engine.dataset.spec import Spec
from tests.webapp import toys
from tests.webapp.conftest import CHROMIUM
from webapp.accounts.models import User
from webapp.datasets.models import Dataset

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]
MOST_ELEMENTS = 24 * 30
LONGEST_TASK_MS = 200
SCROLL = """async (steps) => {
  const tasks = [];
  new PerformanceObserver((list) => tasks.push(...list.getEntries())).observe({ type: "longtask" });
  const box = document.querySelector(".gallery");
  const rest = (ms) => new Promise((done) => setTimeout(done, ms));
  for (let step = 1; step <= steps; step++) {
    box.scrollTop = (box.scrollHeight * step) / steps;
    await rest(200);
  }
  for (let frame = 0; frame < 200; frame++) {
    box.scrollTop -= 150;
    await new Promise(requestAnimationFrame);
  }
  await rest(500);
  return tasks.map((task) => task.duration);
}"""


def many(dataset: Dataset, count: int) -> None:
    """``count`` test samples with a picture each, in records: the first 1,000 have a preview, too."""
    pictures = [toys.png(level) for level in range(40, 240, 10)]
    folder = dataset.autodl_dir / "toy.data" / "test"
    spec = Spec.read(folder / "metadata.textproto")
    shutil.rmtree(folder)
    examples = ([[pictures[i % len(pictures)]], [0]] for i in range(count))
    writer.write_split(folder, spec, examples, 0, hide_labels=True)
    line: dict[str, Any] = {"labels": ["dark"], "kind": "image"}
    with open(dataset.autodl_dir / "previews" / "test.jsonl", "w") as file:
        for i in range(count):
            own = {"file": "test-0.png"} if i < 1000 else {}
            file.write(json.dumps({"index": i, "source": f"dark/{i}.png", **line, **own}) + "\n")
    path = dataset.autodl_dir / "report.json"
    report = json.loads(path.read_text())
    report["counts"]["test"] = report["labels"][0]["test"] = count
    path.write_text(json.dumps(report))


def test_all_samples_are_reached_and_few_are_held(page: Any, owner: User, make_dataset: Any) -> None:
    dataset = make_dataset(owner)
    many(dataset, 2000)
    page.goto(f"/data/{dataset.id}")
    page.get_by_text("2,000 samples").wait_for()
    page.get_by_label("Select dark/0.png", exact=True).check()
    assert page.locator(".gallery .sample").count() < MOST_ELEMENTS
    page.evaluate("document.querySelector('.gallery').scrollTop = 1e9")
    page.get_by_label("Select dark/1999.png").check()
    drawn = page.get_by_role("img", name="dark/1999.png")
    page.wait_for_function("image => image.naturalWidth === 8", arg=drawn.element_handle())
    page.get_by_text("2 selected", exact=True).first.wait_for()
    assert page.get_by_label("Select dark/0.png", exact=True).count() == 0, "far away"
    assert page.locator(".gallery .sample").count() < MOST_ELEMENTS
    assert page.locator('#fix input[type="hidden"][name="item"]').count() == 1, "still chosen"
    page.evaluate("document.querySelector('.gallery').scrollTop = 0")
    page.get_by_label("Select dark/0.png", exact=True).wait_for()
    assert page.get_by_label("Select dark/0.png", exact=True).is_checked()


@pytest.mark.long
def test_50000_samples_scroll_smoothly(page: Any, owner: User, make_dataset: Any, capsys: Any) -> None:
    dataset = make_dataset(owner)
    many(dataset, 50_000)
    page.goto(f"/data/{dataset.id}")
    page.locator(".gallery.live").wait_for()
    tasks_ms = page.evaluate(SCROLL, 100)
    with capsys.disabled():
        print(f"\n{len(tasks_ms)} tasks over 50 ms, the longest {max(tasks_ms, default=0):.0f} ms")
    assert max(tasks_ms, default=0) < LONGEST_TASK_MS
    page.evaluate("document.querySelector('.gallery').scrollTop = 1e9")
    last = page.get_by_role("img", name="dark/49999.png")
    last.wait_for()
    page.wait_for_function("image => image.naturalWidth === 8", arg=last.element_handle())
