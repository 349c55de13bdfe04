"""Which device a worker gets; no GPU is needed here."""

from __future__ import annotations

import socket

import pytest

from webapp.ops import devices
from webapp.ops.services.plan import services


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "gpus", lambda: ["NVIDIA A", "NVIDIA B"])


def test_without_a_gpu_one_worker_trains_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", list)
    assert [service.name for service in services("all", 1, 3)][:7] == [
        *("web", "engine", "train", "predictor", "convert", "pack", "predict")
    ]
    assert devices.describe().startswith("CPU, ")


def test_each_gpu_gets_a_training_worker(two_gpus: None) -> None:
    found = {service.name: service for service in services("all", 1, 3)}
    for gpu in ("0", "1"):
        engine, training = found[f"engine-gpu{gpu}"], found[f"train-gpu{gpu}"]
        assert engine.environment == {"CUDA_VISIBLE_DEVICES": gpu}
        assert training.environment == {"CUDA_VISIBLE_DEVICES": gpu, "WARM_ENGINE": engine.command[-1]}
        assert training.what == "training worker"
    assert found["engine-gpu0"].command[-1] != found["engine-gpu1"].command[-1]


def test_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", list)
    web, worker, all_ = (
        {s.name: s for s in services(*given)} for given in (("web", 1, 3), ("worker", 2), ("all", 1, 3))
    )
    assert {"web", "reaper"} <= web.keys() <= {"web", "reaper", "starters"}
    host = socket.gethostname()
    assert list(worker) == [
        *(f"engine-{host}-1", f"train-{host}-1", f"engine-{host}-2", f"train-{host}-2"),
        *(f"{name}-{host}" for name in ("predictor", "convert", "pack", "predict")),
    ]
    assert worker[f"train-{host}-2"].what == "training worker"
    others = [s.name for s in services("worker", 1, queues=["pack", "predict"])]
    assert others == [f"predictor-{host}", f"pack-{host}", f"predict-{host}"]
    assert [s.name for s in services("worker", 1, queues=["train"])] == [f"engine-{host}", f"train-{host}"]
    waiting = [worker[f"train-{host}-{number}"].environment["WARM_ENGINE"] for number in (1, 2)]
    assert waiting[0] != waiting[1]
    assert not {s.command[-1] for s in worker.values() if "sock" in s.command[-1]} & {
        s.command[-1] for s in all_.values()
    }


def test_the_choice_of_the_environment_is_kept(two_gpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices.visible_gpus() == ["1"]
    assert devices.describe() == "NVIDIA B (GPU 1)"


def test_an_empty_choice_means_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.gpus() == []
