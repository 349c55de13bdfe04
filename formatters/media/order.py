"""Files of a folder and names in natural order."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def files_below(root: Path) -> list[str]:
    """Paths of all files below a folder, relative, in natural order ("a2" before "a10")."""
    start = len(os.path.join(root, ""))
    found = (os.path.join(folder, name)[start:] for folder, _, names in os.walk(root) for name in names)
    return sorted(found, key=natural)


@lru_cache(maxsize=2**17)  # each modality sorts the names of an upload again
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key: digits by value, letters without regard to case."""
    parts = re.findall(r"(\d{1,18})|(\D+|\d)", text)
    key = [(0, int(number), "") if number else (1, 0, rest.casefold()) for number, rest in parts]
    return (*key, (2, 0, text))


def examples(names: Iterable[str]) -> str:
    """The first few of the names, for a message."""
    distinct = sorted(set(names), key=natural)
    return ", ".join(distinct[:4]) + (", ..." if len(distinct) > 4 else "")
