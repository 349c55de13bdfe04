"""Names of data sets that were made from others (``meta variations``), and what they were made from."""

from __future__ import annotations

import re

MARK = "--"
PART = re.compile(r"(classes|n|side)([1-9]\d*)")
SAME_SOURCE = {"miniciao": "cifar10"}
"""Public data sets that count as one source: the same ten classes of photographs at 32 × 32."""


def source_of(name: str) -> str:
    """The data set that a variation was made from; other names stay."""
    base = name.partition(MARK)[0]
    return SAME_SOURCE.get(base, base)
