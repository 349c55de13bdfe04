"""Runs for administrators."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from webapp.runs import words
from webapp.runs.models import Run


@admin.register(Run)
class RunAdmin(admin.ModelAdmin):
    list_display = (
        "__str__",
        "owner",
        "state",
        "export_state",
        "area",
        "training_time",
        "tries",
        "charged",
        "created",
        "ended",
    )
    list_filter = ("state", "export_state", "public", "charged", "created")
    list_select_related = ("owner", "dataset")
    search_fields = ("id", "owner__email", "dataset__name")
    show_full_result_count = False  # nor a hierarchy of dates: both read all rows

    @admin.display(description="ALC", ordering="alc")
    def area(self, run: Run) -> str:
        return words.score_value(run.alc)

    @admin.display(ordering="budget_s")
    def training_time(self, run: Run) -> str:
        return words.duration(run.budget_s)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Run | None = None) -> list[str]:
        """Only the refund and the visibility are decided by hand; states belong to the workers."""
        return [field.name for field in Run._meta.fields if field.name not in ("charged", "public")]
