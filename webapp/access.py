"""Who may see what: every object is fetched here, so that no view can forget it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from webapp.accounts.models import User

Owned = TypeVar("Owned", bound=Model)
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def new_id() -> str:
    """An unguessable short id for URLs (50 bits)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(10))


def signed_in(request: HttpRequest) -> User:
    """The user of a request that only gets here after logging in."""
    assert isinstance(request.user, User)
    return request.user


def posted_from(page: str, *names: str) -> Callable[..., Callable[..., HttpResponse]]:
    """For views that take a form: who must log in first comes back to the page with the form.

    A log-in cannot send the form again, and the form's own address shows nothing.

    Args:
        page: the page's URL name; it takes those of the view's arguments that ``names`` lists.
    """

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @require_POST
        @wraps(view)
        def checked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated:
                return view(request, **kwargs)
            if request.headers.get("Accept") == "application/json":
                return JsonResponse({"error": "You are logged out: log in and try again."}, status=401)
            return redirect_to_login(reverse(page, args=[kwargs[name] for name in names]))

        return checked

    return decorate


def visible(objects: QuerySet[Owned], user: User | AnonymousUser) -> QuerySet[Owned]:
    """What this user may look at: own and public objects; an administrator sees all."""
    if user.is_authenticated and user.is_staff:
        return objects
    public = Q(public=True)
    return objects.filter(public | Q(owner=user) if user.is_authenticated else public)


def get_visible(objects: QuerySet[Owned], user: User | AnonymousUser, **lookup: Any) -> Owned:
    """The object if this user may look at it, else 404."""
    found = visible(objects, user).filter(**lookup).first()
    if found is None:
        raise Http404
    return found


def owns(user: User | AnonymousUser, thing: Any) -> bool:
    """Whether this user may change it: its owner, or an administrator."""
    return user.is_authenticated and (user.is_staff or thing.owner_id == user.pk)


def get_owned(objects: QuerySet[Owned], user: User | AnonymousUser, **lookup: Any) -> Owned:
    """The object if this user may change it (the owner, an administrator), else 404."""
    if not user.is_authenticated:
        raise Http404
    mine = objects if user.is_staff else objects.filter(owner=user)
    found = mine.filter(**lookup).first()
    if found is None:
        raise Http404
    return found
