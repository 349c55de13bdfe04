"""Personal tokens for scripts: only a hash is kept, the token itself is shown once."""

from __future__ import annotations

import secrets
from hashlib import sha256

from django.conf import settings
from django.db import models
from django.utils import timezone

from webapp.accounts.models import User

MARK = "adl_"  # lets people and secret scanners recognise a token
PREFIX_LETTERS = 8


class ApiToken(models.Model):
    """A token acts as its owner until it is revoked (the row is deleted) or the owner's password changes."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60, help_text="what it is for")
    prefix = models.CharField(max_length=12, help_text="how it begins, to tell tokens apart")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token")
    session_hash = models.CharField(max_length=128, help_text="changes with the owner's password, as for sessions")
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def make(cls, owner: User, name: str) -> tuple[ApiToken, str]:
        """The row and the token.  256 random bits need no salt and no slow hash."""
        secret = MARK + secrets.token_urlsafe(32)
        prefix = secret[:PREFIX_LETTERS]
        about = {"name": name, "prefix": prefix, "session_hash": owner.get_session_auth_hash()}
        return cls.objects.create(owner=owner, digest=_digest(secret), **about), secret

    @classmethod
    def of(cls, owner: User) -> models.QuerySet[ApiToken]:
        """The tokens made since the last change of the password."""
        hashes = [owner.get_session_auth_hash(), *owner.get_session_auth_fallback_hash()]
        return cls.objects.filter(owner=owner, session_hash__in=hashes)

    @classmethod
    def user_of(cls, secret: str) -> User | None:
        """The active owner of this token, or None."""
        token = cls.objects.select_related("owner").filter(digest=_digest(secret), owner__is_active=True).first()
        if token is None or not cls.of(token.owner).contains(token):
            return None
        cls.objects.filter(pk=token.pk).update(last_used=timezone.now())
        return token.owner


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
