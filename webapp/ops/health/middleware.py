"""``/healthz``, ``/readyz`` and ``/metrics`` for machines, answered before host name, HTTPS and session are checked."""

from __future__ import annotations

import ipaddress
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.utils.deprecation import MiddlewareMixin
from prometheus_client import CONTENT_TYPE_LATEST

from webapp.ops.health import metrics
from webapp.ops.health.ending import ending
from webapp.ops.health.probes import PROBES


class ProbeMiddleware(MiddlewareMixin):
    """Load balancers ask by address, over plain HTTP."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        view = VIEWS.get(request.path_info)
        if view is None:
            return None
        return view(request) if request.method in ("GET", "HEAD") else HttpResponseNotAllowed(["GET", "HEAD"])


def healthz(request: HttpRequest) -> HttpResponse:
    """This process lives."""
    return _plain("ok")


def readyz(request: HttpRequest) -> HttpResponse:
    """Everything that a page needs answers, or the first sentence that says what does not."""
    if ending.told:
        return _plain("This process stops.", status=503)
    problem = next(filter(None, (probe() for probe in PROBES.values())), "")
    return _plain(problem or "ready", status=503 if problem else 200)


def show_metrics(request: HttpRequest) -> HttpResponse:
    if not _may_read_metrics(request):
        return _plain("Metrics are for METRICS_ADDRESSES and for who sends METRICS_TOKEN.", status=403)
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)


def _may_read_metrics(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if settings.METRICS_TOKEN and scheme.lower() == "bearer":
        return secrets.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    try:
        address = ipaddress.ip_address(request.META["REMOTE_ADDR"])
    except ValueError:  # a Unix socket has none
        return False
    return any(address in ipaddress.ip_network(network) for network in settings.METRICS_ADDRESSES)


def _plain(sentence: str, status: int = 200) -> HttpResponse:
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain; charset=utf-8")


VIEWS = {"/healthz": healthz, "/readyz": readyz, "/metrics": show_metrics}
