"""``manage.py worker train``: one RQ worker, which registers with the name of its device."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

import django_rq
import psutil
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from rq import Worker
from rq.serializers import JSONSerializer

from webapp.datasets import jobs as conversions  # noqa: F401  a forked job has them loaded
from webapp.ops import devices, queues
from webapp.runs import jobs  # noqa: F401
from webapp.store import copies


class DeviceWorker(Worker):
    """Tells the status page what it computes on."""

    def register_birth(self) -> None:
        super().register_birth()
        self.connection.hset(self.key, "device", devices.describe())

    def run_maintenance_tasks(self) -> None:
        super().run_maintenance_tasks()
        copies.look_after()


def bury_the_dead(worker: Worker) -> None:
    """Workers of this machine that were killed would be listed, and counted on, for another 90 s."""
    for other in Worker.all(connection=worker.connection):
        if other.hostname == socket.gethostname() and other.pid and not psutil.pid_exists(other.pid):
            other.register_death()


class Command(BaseCommand):
    help = "Work on one queue, a job at a time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("queue", choices=tuple(settings.RQ_QUEUES))

    def handle(self, *args: Any, **options: Any) -> None:
        queue = options["queue"]
        # Whether a busy worker lives is told by its heartbeat (queues.is_alive).  An idle one sleeps for
        # worker_ttl - 15 s, and cleans the registries between two looks into the queue: by default after 7 minutes.
        worker = django_rq.get_worker(
            queue,
            worker_class=DeviceWorker,
            name=f"{queue}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(2)}",
            worker_ttl=30,
            job_monitoring_interval=queues.BEAT_S,
            maintenance_interval=5,
            serializer=JSONSerializer,
        )
        bury_the_dead(worker)
        connections.close_all()  # a forked job must not share our database connection
        worker.work()
