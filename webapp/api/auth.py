"""Who calls: a browser's session (with CSRF check) or a personal token (``Authorization: Bearer adl_...``)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja.errors import HttpError
from ninja.utils import check_csrf

from webapp.accounts.models import User
from webapp.api.models import ApiToken


def caller(request: HttpRequest, scope: str) -> User | None:
    """The user behind a token or, without one, behind the session; None when neither holds.

    Raises:
        HttpError: the token holds, but not for this scope.
    """
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = ApiToken.find(secret.strip())
        if token and not token.allows(scope):
            raise HttpError(403, f"This token lacks the scope “{scope}”: make one that has it.")
        return token.owner if token else None
    if request.user.is_authenticated and check_csrf(request) is None:
        return request.user
    return None


def signed_in_or_token(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """For views that write and that scripts call as well as pages: 401 with a sentence instead of a login page."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            user = caller(request, "write")
        except HttpError as lacking:
            return HttpResponse(str(lacking), status=lacking.status_code, content_type="text/plain; charset=utf-8")
        if user is None:
            return HttpResponse("Log in first, or send a valid token.", status=401, content_type="text/plain")
        request.user = user
        return view(request, *args, **kwargs)

    return checked
