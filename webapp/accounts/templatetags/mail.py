"""Where this server's mail goes."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def mail_is_printed() -> bool:
    """Without EMAIL_URL, mail is printed in the terminal."""
    return settings.EMAIL_BACKEND.endswith("console.EmailBackend")
