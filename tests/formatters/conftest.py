"""For all tests of the formatters."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def room_for_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds the memory of its process holds ours, which grows with every test: at 4 GB no thread would start."""
    monkeypatch.setenv("AUTODL_MAX_MEMORY_BYTES", str(32 * 2**30))
