"""What a machine can check of WCAG 2.2 AA (axe-core), for a page in a browser as it is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXE = (Path(__file__).parent / "e2e" / "vendor" / "axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = (("light", 375), ("dark", 375), ("dark", 1440), ("light", 1440))
FOUND = "rules => axe.run({ runOnly: rules, resultTypes: ['violations'] })"
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WIDEST = """[...document.querySelectorAll("main *")]
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth)
    .slice(0, 5).map((e) => e.outerHTML.slice(0, 150))"""


def check(page: Any) -> None:
    """No rule is broken, narrow and wide, light and dark, and nothing sticks out at the side."""
    page.evaluate(AXE)
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 900})
        wider = page.evaluate(WIDER)
        assert wider <= 0, f"{page.url} is {wider} px too wide at {width} px: {page.evaluate(WIDEST)}"
        told = [
            f"{fault['id']}: {node['html'][:200]} ({node['failureSummary'][:300]})"
            for fault in page.evaluate(FOUND, RULES)["violations"]
            for node in fault["nodes"]
        ]
        assert told == [], f"{page.url}, {scheme}, {width} px: {told}"
