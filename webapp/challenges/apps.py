from django.apps import AppConfig


class ChallengesConfig(AppConfig):
    name = "webapp.challenges"
    default_auto_field = "django.db.models.BigAutoField"
