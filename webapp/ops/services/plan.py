"""The processes of a site, by role."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from webapp import settings
from webapp.ops import devices

ROLES = ("all", "web", "worker")
WORDS = {
    "prepare": "preparation",
    "redis": "job queue (Redis)",
    "web": "web server",
    "engine": "engine that waits for a run",
    "predictor": "process that keeps models loaded",
    "train": "training worker",
    "convert": "conversion worker",
    "pack": "packing worker",
    "predict": "prediction worker",
    "starters": "generator of starter data",
}
WORKING = ("train", "convert", "pack", "predict")
"""Workers, by the first word of their names."""
MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]


@dataclass
class Service:
    """One child process that should be running."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    once: bool = False  # it ends by itself
    forks: bool = False  # what it leaves running works for others, and ends with them
    serves_jobs: bool = False  # jobs that are under way need it
    retired: bool = False  # it was told to stop, and is not started again
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0  # monotonic time of the next start

    @property
    def what(self) -> str:
        return WORDS.get(self.name.split("-")[0], self.name)


def services(
    role: str, workers: int, *web_fds: int, queues: Collection[str] = WORKING, side: str = ""
) -> list[Service]:
    """What runs beside Redis, in the order of starting.

    Args:
        workers: training workers on each GPU, or on the processor.
        web_fds: arguments of the web server; none in the role of a worker.
        queues: those that the workers work on.
        side: tells two starts beside each other apart.
    """
    found = []
    if web_fds:
        web = [sys.executable, "-m", "webapp.ops.services.web", *map(str, web_fds)]
        found.append(Service("web", web, pass_fds=web_fds))
    if role != "web":
        found += _workers(role, workers, queues, side)
    if role != "worker":
        found.append(Service("reaper", [*MANAGE, "reaper"]))
    if role != "worker" and settings.STARTER_DATA:
        found.append(Service("starters", [*MANAGE, "load_starters"], once=True))
    return found


def sockets(role: str) -> Path:
    """The folder where processes of this start wait: of this machine alone, which others may share DATA_DIR with."""
    if role != "worker":
        return settings.REDIS_SOCKET.parent
    return Path(tempfile.gettempdir()) / f"autodl-worker-{sha256(bytes(settings.DATA_DIR)).hexdigest()[:12]}"


def _workers(role: str, count: int, queues: Collection[str], side: str) -> Iterator[Service]:
    """In the role of a worker their names, and so their logs, tell the machine."""
    place, host = sockets(role), f"-{socket.gethostname()}" if role == "worker" else ""
    if "train" in queues:
        yield from _trainers(place, host, count, side)
    others = [name for name in WORKING[1:] if name in queues]
    if others:
        no_gpu, resident = {"CUDA_VISIBLE_DEVICES": ""}, place / f"predictor{side}.sock"
        predictor = [sys.executable, "-m", "automl_engine.package.resident", str(resident)]
        yield Service(f"predictor{host}", predictor, no_gpu, serves_jobs=True)
        for name in others:
            yield Service(f"{name}{host}", [*MANAGE, "worker", name], no_gpu | {"WARM_PREDICTOR": str(resident)})


def _trainers(place: Path, host: str, count: int, side: str) -> Iterator[Service]:
    for number, gpu in enumerate(gpu for gpu in devices.visible_gpus() or [""] for _ in range(count)):
        suffix = host + (f"-gpu{gpu}" if gpu else "") + (f"-{number + 1}" if count > 1 else "")
        waiting = place / f"engine{number}{side}.sock"  # short, as a socket's path must be
        device = {"CUDA_VISIBLE_DEVICES": gpu} | ({} if gpu or count == 1 else _shared_cores(count))
        engine = [sys.executable, "-m", "automl_engine.run.warm", str(waiting)]
        yield Service(f"engine{suffix}", engine, device, forks=True, serves_jobs=True)
        yield Service(f"train{suffix}", [*MANAGE, "worker", "train"], device | {"WARM_ENGINE": str(waiting)})


def _shared_cores(count: int) -> dict[str, str]:
    """Several trainers on one processor: each uses its share of the cores."""
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
