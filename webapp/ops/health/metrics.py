"""What Prometheus reads, made from rows and files when it asks, so that any web process can answer for the site."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from django.conf import settings
from django.db.models import Case, Count, Min, Q, QuerySet, Sum, Value, When
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError
from rq import Worker

from webapp import engine
from webapp.datasets.models import Dataset
from webapp.ops import devices, queues
from webapp.ops.health.probes import PROBES
from webapp.runs import ending, jobs
from webapp.runs.models import Prediction, Run

FIRST_PREDICTION_BUCKETS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 1200.0)
LATENCY_RUNS = 20
LATENCY_AGE = timedelta(hours=1)
QUANTILES = (0.5, 0.95, 1.0)
REASONS = {
    "user": Q(state=Run.State.CANCELLED) | Q(state=Run.State.FINISHED, reason__startswith="You stopped"),
    "budget": Q(state=Run.State.FINISHED, reason__startswith="The training time"),
    "done": Q(state=Run.State.FINISHED),
    "data": Q(state=Run.State.FAILED, charged=True),
    "killed": Q(state=Run.State.FAILED) & (Q(error__startswith=ending.KILLED) | Q(error__contains=ending.MEMORY_LIMIT)),
    "too_slow": Q(state=Run.State.FAILED, error__startswith=jobs.TOO_SLOW),
    "worker_lost": Q(state=Run.State.FAILED, error__startswith="The worker of this run"),
    "no_prediction": Q(state=Run.State.FAILED, error__startswith="There was no prediction"),
    "engine": Q(state=Run.State.FAILED),
}
"""Why a run ended; the first that fits counts."""


class SiteCollector(Collector):
    """All metrics of the site; without the database those of the machine."""

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        answers = {part: not probe() for part, probe in PROBES.items()}
        yield _gauge("up", "Whether a part of the site answers.", {(part,): up for part, up in answers.items()}, "part")
        if answers["database"]:
            yield from _queues()
            yield _runs()
            yield _first_predictions()
            yield _score_latency()
        if answers["redis"]:
            yield _workers()
        usage = shutil.disk_usage(settings.DATA_DIR)
        yield _gauge("disk_bytes", "Disk of the data folder.", {("total",): usage.total, ("free",): usage.free}, "kind")
        yield from _gpus()


def text() -> bytes:
    registry = CollectorRegistry()
    registry.register(SiteCollector())
    return generate_latest(registry)


def _gauge(name: str, about: str, values: Mapping[Any, float], *labels: str) -> Metric:
    """Values by the values of the labels, a tuple."""
    family = GaugeMetricFamily(f"autodl_{name}", about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family


def _queues() -> Iterator[Metric]:
    """By the rows: Redis may have lost a job, which then still waits."""
    waiting: dict[str, tuple[QuerySet, str]] = {
        "train": (Run.objects.filter(state=Run.State.QUEUED), "state_since"),
        "convert": (Dataset.objects.filter(state=Dataset.State.QUEUED), "state_since"),
        "pack": (Run.objects.filter(export_state=Run.Export.QUEUED), "state_since"),
        "predict": (Prediction.objects.filter(state=Prediction.State.QUEUED), "created"),
    }
    now = timezone.now()
    counts, ages_s = {}, {}
    for queue, (rows, since) in waiting.items():
        found = rows.aggregate(count=Count("pk"), oldest=Min(since))
        counts[queue,] = found["count"]
        ages_s[queue,] = (now - found["oldest"]).total_seconds() if found["oldest"] else 0.0
    yield _gauge("queue_jobs", "Jobs that wait.", counts, "queue")
    yield _gauge("queue_oldest_seconds", "How long the oldest waiting job has waited.", ages_s, "queue")


def _runs() -> Metric:
    cases = [When(fits, then=Value(reason)) for reason, fits in REASONS.items()]
    rows = Run.objects.order_by().values("state", why=Case(*cases, default=Value(""))).annotate(count=Count("pk"))
    counts = {(row["state"], row["why"]): row["count"] for row in rows}
    return _gauge("runs", "Runs by state, and by the reason why they ended.", counts, "state", "reason")


def _first_predictions() -> Metric:
    buckets = {f"to_{i}": bound_s for i, bound_s in enumerate(FIRST_PREDICTION_BUCKETS_S)}
    counts = {name: Count("pk", filter=Q(first_prediction_s__lte=bound_s)) for name, bound_s in buckets.items()}
    rows = Run.objects.exclude(first_prediction_s=None)
    found = rows.aggregate(total=Count("pk"), sum_s=Sum("first_prediction_s"), **counts)
    return HistogramMetricFamily(
        "autodl_first_prediction_seconds",
        "From the start of a run's clock to its first prediction.",
        buckets=[*((str(bound_s), found[name]) for name, bound_s in buckets.items()), ("+Inf", found["total"])],
        sum_value=found["sum_s"] or 0.0,
    )


def _score_latency() -> Metric:
    """From the journals of the newest runs that run or ended lately."""
    lately = Q(state=Run.State.RUNNING) | Q(ended__gt=timezone.now() - LATENCY_AGE)
    latencies_s: list[float] = []
    for run in Run.objects.filter(lately).order_by("-created")[:LATENCY_RUNS]:
        events, _ = engine.events.read(run.dir / "events.jsonl")
        made = {event["k"]: event["time"] for event in events if event["event"] == "prediction"}
        scores = [event for event in events if event["event"] == "score"]
        latencies_s += [event["time"] - made[event["k"]] for event in scores if event["k"] in made]
    values = {(str(q),): float(np.quantile(latencies_s, q)) for q in QUANTILES} if latencies_s else {}
    return _gauge("score_latency_seconds", "From a prediction to its score, in the newest runs.", values, "quantile")


def _workers() -> Metric:
    counts: dict[tuple[str, ...], float] = {(name, "idle"): 0 for name in settings.RQ_QUEUES}
    try:
        for worker in Worker.all(connection=queues.get("train").connection):
            key = (",".join(worker.queue_names()), str(worker.get_state()))
            counts[key] = counts.get(key, 0) + 1
    except RedisError:
        counts = {}  # gone since it was probed
    return _gauge("workers", "Workers that are registered.", counts, "queue", "state")


def _gpus() -> Iterator[Metric]:
    states = devices.gpu_states()
    if states:
        memory = {(gpu.index, kind): getattr(gpu, f"{kind}_bytes") for gpu in states for kind in ("used", "total")}
        yield _gauge("gpu_memory_bytes", "Memory of a GPU.", memory, "gpu", "kind")
        degrees = {(gpu.index,): gpu.temperature_c for gpu in states}
        yield _gauge("gpu_temperature_celsius", "Temperature of a GPU.", degrees, "gpu")
