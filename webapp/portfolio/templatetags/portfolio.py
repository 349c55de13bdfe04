"""``{{ row.name|breakable }}``, ``{{ key|spaced }}``."""

from __future__ import annotations

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

register = template.Library()
BREAK = SafeString("_<wbr>")


@register.filter
def breakable(name: str) -> SafeString:
    """A row's name that a narrow column may break after each underscore."""
    return format_html_join(BREAK, "{}", ((part,) for part in name.split("_")))


@register.filter
def spaced(key: str) -> str:
    """A key of a file in words."""
    return key.replace("_", " ")
