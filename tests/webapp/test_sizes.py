"""Sizes in words."""

from __future__ import annotations

import pytest

from webapp.sizes import size


@pytest.mark.parametrize(
    ("count_bytes", "words"),
    [
        *((0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (2400, "2.3 KB"), (2048, "2 KB")),
        *((100 * 2**20, "100 MB"), (411_800_000, "393 MB"), (5 * 2**30, "5 GB"), (99.96 * 2**30, "100 GB")),
    ],
)
def test_no_digit_that_says_nothing(count_bytes: float, words: str) -> None:
    assert size(count_bytes) == words.replace(" ", "\N{NO-BREAK SPACE}")
