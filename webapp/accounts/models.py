"""Users: an e-mail address, a password, and quotas."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{**fields, "is_staff": True, "is_superuser": True})


class User(AbstractUser):
    username = None  # type: ignore[assignment]
    email = models.EmailField("e-mail address", unique=True)
    guest = models.BooleanField(default=False, editable=False, help_text="dropped data before registering")
    runs_per_day = models.PositiveIntegerField(null=True, blank=True, help_text="empty: the site's default")
    runs_total = models.PositiveIntegerField(null=True, blank=True, help_text="empty: the site's default")
    storage_max_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text="empty: the site's default")

    mail_notices = models.BooleanField("e-mail when a run has ended", default=True)
    webhook_url = models.URLField("webhook", blank=True, help_text="gets a signed POST when a run has ended")
    webhook_secret = models.CharField(max_length=64, blank=True, editable=False)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[assignment,misc]

    @property
    def max_runs_per_day(self) -> int:
        return settings.RUNS_PER_DAY if self.runs_per_day is None else self.runs_per_day

    @property
    def max_runs_total(self) -> int:
        return settings.RUNS_TOTAL if self.runs_total is None else self.runs_total

    @property
    def max_storage_bytes(self) -> int:
        return settings.STORAGE_MAX_BYTES if self.storage_max_bytes is None else self.storage_max_bytes


class AuditEntry(models.Model):
    """One action (audit.py); it outlives its actor, without a name."""

    time = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, blank=True, help_text="kind and id of what it was done to")
    address = models.GenericIPAddressField(null=True)

    class Meta:
        ordering = ("-time", "-pk")
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.subject}".strip()
