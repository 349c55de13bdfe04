"""The processes of a site, by role."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

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
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0  # monotonic time of the next start

    @property
    def what(self) -> str:
        return WORDS.get(self.name.split("-")[0], self.name)


def services(role: str, workers: int, port_fd: int | None) -> list[Service]:
    """What runs beside Redis, in the order of starting.

    Args:
        workers: training workers on each GPU, or on the processor.
        port_fd: the socket of the web server; None in the role of a worker.
    """
    found = []
    if port_fd is not None:
        found.append(
            Service("web", [sys.executable, "-m", "webapp.ops.services.web", str(port_fd)], pass_fds=(port_fd,))
        )
    if role != "web":
        found += _workers(role, workers)
    if role != "worker":
        found.append(Service("reaper", [*MANAGE, "reaper"]))
    if role != "worker" and settings.STARTER_DATA:
        found.append(Service("starters", [*MANAGE, "load_starters"], once=True))
    return found


def _workers(role: str, count: int) -> Iterator[Service]:
    """Those of a second start on this machine wait at sockets of their own."""
    place, beside = settings.REDIS_SOCKET, "-worker" if role == "worker" else ""
    for number, gpu in enumerate(gpu for gpu in devices.visible_gpus() or [""] for _ in range(count)):
        suffix = (f"-gpu{gpu}" if gpu else "") + (f"-{number + 1}" if count > 1 else "")
        waiting = place.with_name(f"engine{beside}{number}.sock")  # short, as a socket's path must be
        device = {"CUDA_VISIBLE_DEVICES": gpu} | ({} if gpu or count == 1 else _shared_cores(count))
        engine = [sys.executable, "-m", "automl_engine.run.warm", str(waiting)]
        yield Service(f"engine{suffix}", engine, device, forks=True)
        yield Service(f"train{suffix}", [*MANAGE, "worker", "train"], device | {"WARM_ENGINE": str(waiting)})
    no_gpu, resident = {"CUDA_VISIBLE_DEVICES": ""}, place.with_name(f"predictor{beside}.sock")
    predictor = [sys.executable, "-m", "automl_engine.package.resident", str(resident)]
    yield Service("predictor", predictor, no_gpu)
    for name in ("convert", "pack", "predict"):
        yield Service(name, [*MANAGE, "worker", name], no_gpu | {"WARM_PREDICTOR": str(resident)})


def _shared_cores(count: int) -> dict[str, str]:
    """Several trainers on one processor: each uses its share of the cores."""
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
