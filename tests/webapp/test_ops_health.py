"""Probes for load balancers, metrics for Prometheus, and job ids in the log."""

from __future__ import annotations

import json
import logging
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from webapp.accounts.models import User
from webapp.ops import devices
from webapp.ops.health import logs, probes
from webapp.runs import ending

ELSEWHERE = {"REMOTE_ADDR": "203.0.113.7"}
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def answering_redis(redis_socket: Path, settings: Any) -> None:
    settings.RQ_QUEUES = {name: queue | {"URL": f"unix://{redis_socket}"} for name, queue in settings.RQ_QUEUES.items()}


def refuse(*_: Any, **__: Any) -> Any:
    raise OperationalError("no connection to the server")


def test_the_process_lives_whatever_else_does(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """No database (the test may not use one), and any host name: a load balancer asks by address."""
    answer = client.get("/healthz", headers={"Host": "10.0.0.7:8000"})
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_ready(client: Client, answering_redis: None, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True  # a probe speaks plain HTTP
    assert client.get("/readyz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


@pytest.mark.django_db
def test_not_ready_is_one_sentence(
    client: Client, answering_redis: None, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def sentence() -> str:
        answer = client.get("/readyz")
        assert answer.status_code == 503
        return answer.content.decode().strip()

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        assert sentence() == "The database does not answer."
    with monkeypatch.context() as patch:
        patch.setattr(probes.shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - 10**6, 10**6))
        assert sentence() == "The disk is full: 1 MB is free."
    with monkeypatch.context() as patch:
        patch.setattr(settings, "DATA_DIR", tmp_path / "none")
        assert sentence() == "The data folder cannot be written: No such file or directory."
    url = f"unix://{tmp_path}/none.sock"
    settings.RQ_QUEUES = {name: queue | {"URL": url} for name, queue in settings.RQ_QUEUES.items()}
    assert sentence() == "The job queue (Redis) does not answer."


def samples(client: Client, **options: Any) -> dict[tuple[str, ...], float]:
    """Value by name and the values of the labels, whose names are sorted."""
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


@pytest.mark.django_db
def test_metrics(
    client: Client, answering_redis: None, owner: User, make_dataset: Any, make_run: Any, monkeypatch: Any
) -> None:
    gpu = devices.GpuState("0", used_bytes=2**30, total_bytes=2**37, temperature_c=41)
    monkeypatch.setattr(devices, "gpu_states", lambda: [gpu])
    dataset = make_dataset(owner)
    now = timezone.now()
    run = make_run(dataset, reason="The training time of 20 s is over.", first_prediction_s=0.7)
    events = [{"event": "prediction", "k": 0, "time": 10.0}, {"event": "score", "k": 0, "time": 10.4}]
    (run.dir / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    make_run(dataset, state="failed", charged=False, error=f"{ending.KILLED} Your data is safe.")
    make_run(dataset, state="failed", error="row 17 has no label")
    waiting = make_run(dataset, state="queued")
    type(waiting).objects.filter(pk=waiting.pk).update(state_since=now - timedelta(seconds=90))
    values = samples(client)
    assert values["autodl_up", "database"] == values["autodl_up", "redis"] == values["autodl_up", "disk"] == 1
    assert values["autodl_queue_jobs", "train"] == 1
    assert values["autodl_queue_jobs", "convert"] == 0
    assert 90 <= values["autodl_queue_oldest_seconds", "train"] < 100
    assert values["autodl_runs", "budget", "finished"] == 1
    assert values["autodl_runs", "killed", "failed"] == values["autodl_runs", "data", "failed"] == 1
    assert values["autodl_runs", "", "queued"] == 1
    assert values["autodl_first_prediction_seconds_bucket", "0.5"] == 0
    assert values["autodl_first_prediction_seconds_bucket", "1.0"] == 1
    assert values["autodl_score_latency_seconds", "0.5"] == pytest.approx(0.4)
    assert values["autodl_disk_bytes", "free"] <= values["autodl_disk_bytes", "total"]
    assert values["autodl_gpu_memory_bytes", "0", "used"] == 2**30
    assert values["autodl_gpu_temperature_celsius", "0"] == 41


@pytest.mark.django_db
def test_without_a_database_the_other_metrics_remain(
    client: Client, answering_redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "cursor", refuse)
    values = samples(client)
    assert values["autodl_up", "database"] == 0
    assert values["autodl_disk_bytes", "total"] > 0
    assert ("autodl_queue_jobs", "train") not in values


@pytest.mark.django_db
def test_metrics_are_for_listed_addresses_and_the_token(client: Client, settings: Any) -> None:
    assert client.get("/metrics", **ELSEWHERE).status_code == 403
    settings.METRICS_ADDRESSES = ["203.0.113.0/24"]
    assert client.get("/metrics", **ELSEWHERE).status_code == 200
    assert client.get("/metrics").status_code == 403
    bearer = {"headers": {"Authorization": "Bearer s3cret"}}
    assert client.get("/metrics", **bearer).status_code == 403
    settings.METRICS_TOKEN = "s3cret"
    assert client.get("/metrics", **bearer).status_code == 200
    assert client.get("/metrics", headers={"Authorization": "Bearer other"}).status_code == 403


def test_only_questions_are_answered(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


def test_a_line_of_the_log_names_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.LogRecord("webapp", logging.INFO, "x.py", 1, "hello", (), None)
    assert logs.JobFilter().filter(record)
    assert vars(record)["job"] == "-"
    monkeypatch.setattr(logs, "get_current_job", lambda: SimpleNamespace(id="train-abc-1"))
    logs.JobFilter().filter(record)
    assert vars(record)["job"] == "train-abc-1"
