from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "webapp.ops"
    default_auto_field = "django.db.models.BigAutoField"
