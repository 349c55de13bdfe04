"""How much memory there is for us, and what of it is for what."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

CACHE_SHARE, FEATURE_SHARE = 1 / 8, 1 / 32
FEWEST_BYTES, MOST_FEATURE_BYTES = 64 << 20, 128 << 20
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@cache
def machine_bytes() -> int:
    """The memory of this machine, or of the control group (a container) that we are in."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in map(Path, _GROUP_LIMITS):
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def cache_limit_bytes() -> int:
    """For the decoded images of one data set."""
    return max(FEWEST_BYTES, int(CACHE_SHARE * machine_bytes()))


def feature_limit_bytes() -> int:
    """For one matrix of features; what needs more works on parts."""
    return max(FEWEST_BYTES, min(MOST_FEATURE_BYTES, int(FEATURE_SHARE * machine_bytes())))
