"""Who may do what: every object is fetched here, so that no view can forget it.

The owner and administrators may do all.  Everybody may look at what is public, and use it.  To others the owner gives
a level of access (``Grant``), each of which includes those before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from webapp.accounts.models import Grant, User

Owned = TypeVar("Owned", bound=Model)
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
VIEW, USE, EDIT = Grant.Level
OWN = 4
NEEDED = {
    USE: "ask the owner to let you use it",
    EDIT: "ask the owner to let you edit it",
    OWN: "only the owner can do it",
}


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
    """What this user may look at: own, shared and public objects; an administrator sees all."""
    if user.is_authenticated and user.is_staff:
        return objects
    public = Q(public=True)
    return objects.filter(public | Q(owner=user) | Q(pk__in=list(user.granted)) if user.is_authenticated else public)


def owns(user: User | AnonymousUser, thing: Any) -> bool:
    """Whether it is this user's: its owner, or an administrator."""
    return user.is_authenticated and (user.is_staff or thing.owner_id == user.pk)


def may(user: User | AnonymousUser, thing: Any, level: int) -> bool:
    """Whether this user may do with it what takes this level, up to ``OWN``."""
    return owns(user, thing) or (level <= USE and thing.public) or has_grant(user, thing, level)


def has_grant(user: User | AnonymousUser, thing: Any, level: int = VIEW) -> bool:
    """Whether the owner gave this user this level of access, or a higher one."""
    return user.is_authenticated and user.granted.get(thing.pk, 0) >= level


def get_allowed(objects: QuerySet[Owned], user: User | AnonymousUser, level: int, **lookup: Any) -> Owned:
    """The object if this user may do with it what takes this level.

    Raises:
        Http404: it is not there, or the user need not know of it.
        PermissionDenied: the owner gave the user less.
    """
    found = objects.filter(**lookup).first()
    if found is not None and may(user, found, level):
        return found
    if found is not None and has_grant(user, found):
        raise PermissionDenied(f"Your access does not include this: {NEEDED[level]}.")
    raise Http404


def get_visible(objects: QuerySet[Owned], user: User | AnonymousUser, **lookup: Any) -> Owned:
    """The object if this user may look at it, else 404."""
    return get_allowed(objects, user, VIEW, **lookup)


def get_owned(objects: QuerySet[Owned], user: User | AnonymousUser, **lookup: Any) -> Owned:
    """The object if it is this user's."""
    return get_allowed(objects, user, OWN, **lookup)


def get_sharable(runs: QuerySet[Owned], user: User | AnonymousUser, **lookup: Any) -> Owned:
    """A run that this user may show to others: whoever trained on data of somebody else may not share it on."""
    run: Any = get_owned(runs, user, **lookup)
    if not (run.dataset.public or owns(user, run.dataset)):
        raise PermissionDenied("This run was trained on private data of somebody else, so you cannot share it.")
    return run
