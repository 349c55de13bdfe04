"""The licence of this program, and the notices of what it uses."""

from __future__ import annotations

import re
from pathlib import Path

from webapp.ops.management.commands import notices

ROOT = Path(__file__).parents[1]


def test_the_licence_is_there_in_full() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_notices_name_every_package() -> None:
    """After a change of requirements.txt: python manage.py notices."""
    told = re.findall(r"^\| ([\w.-]+) \|", notices.notices_path().read_text(), re.M)[1:]
    assert set(notices.installed()) <= set(told)
    direct = [re.split(r"[=\[ ]", line)[0] for line in (ROOT / "requirements.txt").read_text().splitlines()]
    named = {notices.normalized(name) for name in direct if name and not name.startswith("#")}
    assert named - {"tensorflow"} <= set(told)  # tensorflow: elsewhere instead of tensorflow-cpu
