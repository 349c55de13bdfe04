"""Samples one after the other: what must be read from files is read ahead, in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from formatters.base import Table
from formatters.media.samples import THREADS

FROM_FILES = ("image", "video", "audio")
"""Modalities whose samples are files; those of others are in memory, where threads would only cost time."""
T = TypeVar("T")


def in_order(table: Table, load: Callable[[int], T], picks: Sequence[int]) -> Iterator[T]:
    """What ``load`` makes of each of these samples."""
    if table.modality not in FROM_FILES:
        yield from map(load, picks)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        ahead: deque[Future[T]] = deque()
        for pick in picks:
            ahead.append(pool.submit(load, pick))
            if len(ahead) > 2 * THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
