"""Whether the parts of the site answer: each probe returns one sentence about what is wrong, or nothing.

The sentences are public: no paths, no addresses.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection
from django.template.defaultfilters import pluralize
from redis import Redis
from redis.exceptions import RedisError

from webapp.store import remote

ANSWER_LIMIT_S = 2.0
FULL_BYTES = 2**28
"""With less free space than this, neither the database nor the job queue can be relied upon."""

DISK_FULL = "The disk of this server is full"
FULL_SIGNS = re.compile(r"no space left on device|disk quota exceeded|disk is full", re.IGNORECASE)
LAST_BYTES = 2**20  # with less, what failed most likely failed for it


def database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM django_migrations")
    except Error:
        return "The database does not answer."
    return ""


def redis() -> str:
    url = settings.RQ_QUEUES["train"]["URL"]
    try:
        with Redis.from_url(url, socket_timeout=ANSWER_LIMIT_S, socket_connect_timeout=ANSWER_LIMIT_S) as server:
            server.ping()
    except RedisError:
        return "The job queue (Redis) does not answer."
    return ""


def disk() -> str:
    try:
        with tempfile.TemporaryFile(dir=settings.DATA_DIR) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        return f"The data folder cannot be written: {error.strerror}."
    free_bytes = shutil.disk_usage(settings.DATA_DIR).free
    if free_bytes < FULL_BYTES:
        free_mb = free_bytes // 10**6
        return f"The disk is full: {free_mb} MB {pluralize(free_mb, 'is,are')} free."
    return ""


def is_disk_full(error: object = "") -> bool:
    """Whether an error tells of it, or, since there may have been no room to tell, the disk itself."""
    return bool(FULL_SIGNS.search(str(error))) or shutil.disk_usage(settings.DATA_DIR).free < LAST_BYTES


def files() -> str:
    try:
        remote.names("")
    except OSError:
        return "The file store does not answer."
    return ""


PROBES: dict[str, Callable[[], str]] = {"database": database, "redis": redis, "disk": disk}
if settings.STORAGE_URL:
    PROBES["files"] = files
