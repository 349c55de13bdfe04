"""Personal tokens for scripts: only a hash is kept, the token itself is shown once."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Collection
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.db import DatabaseError, models
from django.utils import timezone

from webapp.accounts.models import User

MARK = "adl_"  # lets people and secret scanners recognise a token
PREFIX_LETTERS = 8
SCOPES = {
    "read": "look at data sets, runs and models",
    "run": "start and stop runs, predict",
    "write": "upload and delete data sets",
}
USE_NOTED_EVERY = timedelta(minutes=1)
log = logging.getLogger(__name__)


class ApiToken(models.Model):
    """A token acts as its owner, within its scopes.

    It ends when it expires or is revoked (the row is deleted), and when the owner's password changes.
    """

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60, help_text="what it is for")
    prefix = models.CharField(max_length=12, help_text="how it begins, to tell tokens apart")
    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the token")
    session_hash = models.CharField(max_length=128, help_text="changes with the owner's password, as for sessions")
    scopes = models.CharField(max_length=40, default=" ".join(SCOPES), help_text="what it may do, separated by spaces")
    expires = models.DateTimeField(null=True)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def make(
        cls, owner: User, name: str, scopes: Collection[str] = tuple(SCOPES), lasts: timedelta | None = None
    ) -> tuple[ApiToken, str]:
        """The row and the token.  256 random bits need no salt and no slow hash."""
        secret = MARK + secrets.token_urlsafe(32)
        prefix = secret[:PREFIX_LETTERS]
        row = cls.objects.create(
            owner=owner,
            name=name,
            prefix=prefix,
            digest=_digest(secret),
            session_hash=owner.get_session_auth_hash(),
            scopes=" ".join(scopes),
            expires=timezone.now() + lasts if lasts else None,
        )
        return row, secret

    @classmethod
    def of(cls, owner: User) -> models.QuerySet[ApiToken]:
        """The tokens made since the last change of the password."""
        hashes = [owner.get_session_auth_hash(), *owner.get_session_auth_fallback_hash()]
        return cls.objects.filter(owner=owner, session_hash__in=hashes)

    @classmethod
    def find(cls, secret: str) -> ApiToken | None:
        """The row of a token that holds: not expired, and of an active user."""
        holds = models.Q(expires=None) | models.Q(expires__gt=timezone.now())
        rows = cls.objects.select_related("owner").filter(holds, digest=_digest(secret), owner__is_active=True)
        token = rows.first()
        if token is None or not cls.of(token.owner).contains(token):
            return None
        token._note_use()
        return token

    @property
    def has_expired(self) -> bool:
        return self.expires is not None and self.expires <= timezone.now()

    def allows(self, scope: str) -> bool:
        return scope in self.scopes.split()

    def _note_use(self) -> None:
        """A request is answered even if this cannot be written."""
        now = timezone.now()
        if self.last_used and self.last_used > now - USE_NOTED_EVERY:
            return
        try:
            ApiToken.objects.filter(pk=self.pk, last_used=self.last_used).update(last_used=now)
        except DatabaseError as error:
            log.warning("the use of token %s was not noted: %s", self.prefix, error)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
