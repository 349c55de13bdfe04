"""The page of a user's API tokens."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from webapp.access import posted_from, signed_in
from webapp.accounts import audit
from webapp.api.models import SCOPES, ApiToken

NAME_LETTERS = 60
DAYS = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}
"""How long a token may last; the first is the default."""


@login_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List tokens; POST makes one and shows it this once."""
    secret = ""
    if request.method == "POST":
        name = request.POST.get("name", "").strip()[:NAME_LETTERS] or "my script"
        scopes = [scope for scope in SCOPES if scope in request.POST.getlist("scope")]
        days = request.POST.get("days", "")
        if scopes and days in DAYS:
            lasts = timedelta(days=int(days)) if days else None
            token, secret = ApiToken.make(signed_in(request), name, scopes, lasts)
            audit.note(request, "made", token)
        else:
            messages.error(request, "Choose what the token may do, and how long.")
    base = request.build_absolute_uri("/").rstrip("/")
    context = {"tokens": ApiToken.of(signed_in(request)), "secret": secret, "base": base}
    context |= {"scopes": SCOPES, "durations": DAYS}
    return render(request, "api/tokens.html", context)


@posted_from("tokens")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """The token stops working at once."""
    if not ApiToken.objects.filter(owner=signed_in(request), pk=pk).delete()[0]:
        raise Http404
    audit.note(request, "revoked", f"api token {pk}")
    messages.success(request, "The token is revoked: scripts that use it are refused from now on.")
    return redirect("tokens")
