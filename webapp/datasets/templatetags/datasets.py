"""The upload form's limits, ``{% upload_limits as limits %}``, and ``{{ stat.min|quantity:stat.unit }}``."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from typing import Any

import qrcode
from django import template
from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port
from django.utils import timezone
from qrcode.image.svg import SvgPathImage

from webapp.accounts import guests
from webapp.datasets.models import Upload
from webapp.datasets.storage import invitation, storage_of
from webapp.runs import words
from webapp.sizes import size

LOCAL = ("localhost", "127.0.0.1", "[::1]")

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
    """``{% upload_limits as limits %}``: max_bytes, chunk_bytes, phone_code; for a user also storage and unfinished
    uploads.

    ``open`` tells whether this visitor may upload.  More data for a data set takes the space of its owner.
    """
    limits: dict[str, Any] = {"max_bytes": settings.UPLOAD_MAX_BYTES, "chunk_bytes": settings.UPLOAD_CHUNK_BYTES}
    limits |= {"invitation": invitation(), "phone_code": phone_code(context["request"])}
    user = context["request"].user
    if user.is_authenticated:
        storage = storage_of(context["continues"].owner if context.get("continues") else user)
        unfinished = Upload.objects.filter(owner=user, expires__gt=timezone.now()).order_by("-created")
        limits |= {"open": True, "storage": storage, "max_bytes": storage.upload_max_bytes, "unfinished": unfinished}
    elif guests.are_welcome():
        limits |= {"open": True, "max_bytes": min(settings.UPLOAD_MAX_BYTES, settings.GUEST_MAX_BYTES)}
    return limits


def phone_code(request: HttpRequest) -> str:
    """The source of a picture whose QR code opens the home page, with the upload form; empty where no phone gets to."""
    is_local = split_domain_port(request.get_host())[0] in LOCAL
    return "" if is_local else _qr_code(request.build_absolute_uri("/"))


@lru_cache(maxsize=32)
def _qr_code(address: str) -> str:
    picture = qrcode.make(address, image_factory=SvgPathImage, border=2).to_string()
    return f"data:image/svg+xml;base64,{b64encode(picture).decode()}"
