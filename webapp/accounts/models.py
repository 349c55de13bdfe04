"""Users: an e-mail address, a password, and quotas."""

from __future__ import annotations

from functools import cached_property
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

    @cached_property
    def granted(self) -> dict[str, int]:
        """The level of access (``Grant``) to each data set and run that others share with this user, by its id."""
        rows = Grant.objects.filter(user=self).order_by("level").values_list("dataset_id", "run_id", "level")
        return {dataset_id or run_id: level for dataset_id, run_id, level in rows}


class Grant(models.Model):
    """What the owner of a data set or a run lets one other person do with it (accounts/sharing.py)."""

    class Level(models.IntegerChoices):
        VIEW = 1, "view"
        USE = 2, "use"
        EDIT = 3, "edit"

    dataset = models.ForeignKey("datasets.Dataset", models.CASCADE, null=True, related_name="grants")
    run = models.ForeignKey("runs.Run", models.CASCADE, null=True, related_name="grants")
    email = models.EmailField(help_text="as the owner typed it, in small letters")
    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="grants", help_text="empty: not known here")
    level = models.PositiveSmallIntegerField(choices=Level.choices)
    created = models.DateTimeField(auto_now_add=True)
    mail_due = models.DateTimeField(null=True, help_text="of the next try to tell the person; empty: none")
    mail_tries = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        ordering = ("email",)
        constraints = (
            models.UniqueConstraint(fields=("dataset", "email"), name="grant_of_dataset"),
            models.UniqueConstraint(fields=("run", "email"), name="grant_of_run"),
            models.CheckConstraint(
                condition=models.Q(dataset=None, run__isnull=False) | models.Q(dataset__isnull=False, run=None),
                name="grant_of_one_thing",
            ),
        )

    @property
    def thing(self) -> Any:
        return self.dataset or self.run

    @property
    def words(self) -> str:
        """What the person may do."""
        return (FOR_DATASETS if self.dataset_id else FOR_RUNS)[Grant.Level(self.level)]


FOR_DATASETS = {Grant.Level.VIEW: "may view", Grant.Level.USE: "may start runs", Grant.Level.EDIT: "may edit"}
FOR_RUNS = {Grant.Level.VIEW: "may view", Grant.Level.USE: "may predict", Grant.Level.EDIT: "may predict and stop it"}


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
