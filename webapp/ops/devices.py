"""What this machine computes on, without importing torch."""

from __future__ import annotations

import os

import psutil
import pynvml


def gpus() -> list[str]:
    """Names of the NVIDIA GPUs that this process may use, by index; empty without a driver."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetName(handle)) for handle in handles]
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
