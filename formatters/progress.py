"""A progress line at least every second, also while one step takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]
SILENCE_S = 0.9  # after which the last line is repeated with the seconds since


@contextmanager
def never_silent(say: Say) -> Iterator[Say]:
    """A ``say`` whose last line comes again while nothing new is said."""
    done, lock = threading.Event(), threading.Lock()
    line, begun_s, told_s = "", time.monotonic(), time.monotonic()

    def tell(new: str) -> None:
        nonlocal line, begun_s, told_s
        with lock:
            line, begun_s, told_s = new, time.monotonic(), time.monotonic()
            say(new)

    def repeat() -> None:
        nonlocal told_s
        while not done.wait(SILENCE_S / 4):
            with lock:
                now_s = time.monotonic()
                if line and now_s - told_s >= SILENCE_S and not done.is_set():
                    told_s = now_s
                    say(f"{line} ({now_s - begun_s:.0f} s)")

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        done.set()
        thread.join()
