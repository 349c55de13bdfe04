"""Outlives the supervisor to clean up after it, should it be killed.

``python -m webapp.ops.services.guard MARK``: one process id a line on stdin; when stdin ends, all of them and every
process with the mark are ended.  After an orderly stop there is nothing left to do.
"""

from __future__ import annotations

import signal
import sys

import psutil

from webapp.ops import processes

GRACE_S = 2


def main() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # only the end of stdin counts
    children = []
    for line in sys.stdin:
        try:
            children.append(psutil.Process(int(line)))  # remembers the start time: a reused id is not mistaken
        except psutil.NoSuchProcess:
            continue
    processes.end([*filter(processes.is_alive, children), *processes.marked(sys.argv[1])], GRACE_S)
    processes.end(processes.marked(sys.argv[1]), 0)  # what they started while they were ending


if __name__ == "__main__":
    main()
