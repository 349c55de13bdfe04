"""The upload form's limits, ``{% upload_limits as limits %}``, and ``{{ stat.min|quantity:stat.unit }}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings
from django.utils import timezone

from webapp.accounts import guests
from webapp.datasets.models import Upload
from webapp.datasets.storage import invitation, storage_of
from webapp.runs import words
from webapp.sizes import size

register = template.Library()


@register.filter
def quantity(value: float, unit: str) -> str:
    """``1,250 px``, ``0.65 s``, ``4.2 KB``, ``1 word``: three significant digits, whole numbers in full."""
    if unit == "bytes":
        return size(value)
    unit = unit.removesuffix("s") if value == 1 and len(unit) > 1 else unit
    return f"{words.number(value)} {unit}".strip()


@register.simple_tag(takes_context=True)
def upload_limits(context: dict[str, Any]) -> dict[str, Any]:
    """``{% upload_limits as limits %}``: max_bytes, chunk_bytes; for a user also storage and unfinished uploads.

    ``open`` tells whether this visitor may upload.  More data for a data set takes the space of its owner.
    """
    limits: dict[str, Any] = {"max_bytes": settings.UPLOAD_MAX_BYTES, "chunk_bytes": settings.UPLOAD_CHUNK_BYTES}
    limits["invitation"] = invitation()
    user = context["request"].user
    if user.is_authenticated:
        storage = storage_of(context["continues"].owner if context.get("continues") else user)
        unfinished = Upload.objects.filter(owner=user, expires__gt=timezone.now()).order_by("-created")
        limits |= {"open": True, "storage": storage, "max_bytes": storage.upload_max_bytes, "unfinished": unfinished}
    elif guests.are_welcome():
        limits |= {"open": True, "max_bytes": min(settings.UPLOAD_MAX_BYTES, settings.GUEST_MAX_BYTES)}
    return limits
