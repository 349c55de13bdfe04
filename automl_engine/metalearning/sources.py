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


def in_words(name: str) -> str:
    """``cifar10--n500`` -> "cifar10 (500 examples)"."""
    base, *parts = name.split(MARK)
    found = [PART.fullmatch(part) for part in parts]
    units = {"classes": "classes", "n": "examples", "side": "px"}
    told = [f"{match[2]} {units[match[1]]}" for match in found if match]
    return f"{base} ({', '.join(told)})" if told and None not in found else name
