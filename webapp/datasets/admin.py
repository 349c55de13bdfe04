"""Data sets for administrators: whose they are, how large, what could not be converted."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from webapp.datasets.models import Dataset
from webapp.sizes import size


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):
    list_display = ("name", "owner", "state", "modality", "sample_count", "size", "public", "starter", "created")
    list_filter = ("state", "modality", "public", "starter", "created")
    list_select_related = ("owner",)
    search_fields = ("id", "name", "owner__email")
    show_full_result_count = False  # nor a hierarchy of dates: both read all rows

    @admin.display(ordering="size_bytes")
    def size(self, dataset: Dataset) -> str:
        return size(dataset.size_bytes)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Dataset | None = None) -> list[str]:
        """Names and visibility may be changed by hand; states belong to the workers."""
        by_hand = ("name", "description", "public", "starter")
        return [field.name for field in Dataset._meta.fields if field.name not in by_hand]
