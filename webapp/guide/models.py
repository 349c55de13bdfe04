"""Texts that an administrator edits."""

from __future__ import annotations

from django.db import models


class Text(models.Model):
    """The text of a page; where there is none, the page shows the one that comes with the site (texts.py)."""

    page = models.SlugField(primary_key=True)
    body = models.TextField(max_length=20_000)
    changed = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.page
