"""Sizes of files in words, for messages and as the filter ``{{ upload.size_bytes|size }}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat

register = template.Library()


@register.filter
def size(count_bytes: Any) -> str:
    """``7 bytes``, ``2.4 KB``, ``100 MB``, ``5 GB``: at most three significant digits, where 1 KB is 1,024 bytes."""
    number, unit = filesizeformat(count_bytes).split("\N{NO-BREAK SPACE}")
    whole, _, tenths = number.partition(".")
    if len(whole) > 2:
        whole, tenths = f"{float(number):.0f}", ""
    return f"{whole}.{tenths}\N{NO-BREAK SPACE}{unit}" if tenths.strip("0") else f"{whole}\N{NO-BREAK SPACE}{unit}"
