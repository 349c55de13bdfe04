"""ASGI entry point: ``uvicorn webapp.asgi:application``."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
_django = get_asgi_application()

from webapp.body_limit import limited  # noqa: E402  needs the apps that the line above has loaded

application = limited(_django)
