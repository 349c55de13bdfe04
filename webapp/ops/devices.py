"""What this machine computes on, without importing torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import pynvml

T = TypeVar("T")


@dataclass(frozen=True)
class GpuState:
    """What a GPU is doing now."""

    index: str
    used_bytes: int
    total_bytes: int
    temperature_c: int


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, by index; empty without a driver."""
    return _of_each(lambda index, handle: str(pynvml.nvmlDeviceGetName(handle)))


def gpu_states() -> list[GpuState]:
    return _of_each(_state)


def _state(index: int, handle: Any) -> GpuState:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    degrees = pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    return GpuState(str(index), int(memory.used), int(memory.total), int(degrees))


def _of_each(ask: Callable[[int, Any], T]) -> list[T]:
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [ask(i, pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(pynvml.nvmlDeviceGetCount())]
    finally:
        pynvml.nvmlShutdown()


def visible_gpus() -> list[str]:
    """Indices for CUDA_VISIBLE_DEVICES, one a training worker; empty: train on the CPU."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(gpus())
    return chosen.split(",") if chosen and count else [str(i) for i in range(count)]


def describe() -> str:
    """The device of this process: "NVIDIA H100 (GPU 0)" or "CPU, 2 cores"."""
    names, chosen = gpus(), os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    if names:
        name = names[int(chosen)] if chosen.isdigit() and int(chosen) < len(names) else names[0]
        return f"{name} (GPU {chosen})"
    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count()
    return f"CPU, {cores} core{'s' if cores != 1 else ''}"
