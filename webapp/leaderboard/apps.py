from django.apps import AppConfig


class LeaderboardConfig(AppConfig):
    name = "webapp.leaderboard"
    default_auto_field = "django.db.models.BigAutoField"
