from django.apps import AppConfig


class PortfolioConfig(AppConfig):
    name = "webapp.portfolio"
    default_auto_field = "django.db.models.BigAutoField"
