"""Sharing a data set or a run with named people; what they may do then is for webapp/access.py to say.

Nothing tells the owner whether an address has an account: an invitation to any address is kept as it was typed, and
it is given to the account that has confirmed this address, now or later.  All versions of a data set are shared alike.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.core import ratelimit
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect

from webapp.access import get_owned, get_sharable, has_grant, owns, posted_from, signed_in
from webapp.accounts import audit, share_mail
from webapp.accounts.models import FOR_DATASETS, FOR_RUNS, Grant, User
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

MOST_PEOPLE = 50


class GrantForm(forms.Form):
    email = forms.EmailField()
    level = forms.TypedChoiceField(choices=Grant.Level.choices, coerce=int)

    def clean_email(self) -> str:
        return self.cleaned_data["email"].lower()


def panel(thing: Dataset | Run, user: User | AnonymousUser) -> dict[str, Any]:
    """Context of ``account/_people.html``."""
    if not owns(user, thing):
        shared = has_grant(user, thing)
        return {"my_grant": thing.grants.filter(user=user.pk).order_by("-level").first() if shared else None}
    words = FOR_DATASETS if isinstance(thing, Dataset) else FOR_RUNS
    is_own_data = isinstance(thing, Dataset) or thing.dataset.public or owns(user, thing.dataset)
    return {"may_share": is_own_data, "people": thing.grants.all(), "levels": words.items()}


def with_me(user: User, kind: str) -> QuerySet[Grant]:
    """The data sets (``dataset``) or runs (``run``) that others share with this user, newest first."""
    grants = Grant.objects.filter(user=user, **{f"{kind}__isnull": False})
    return grants.select_related(f"{kind}__owner", "run__dataset").order_by("-created", "-pk")


def give(thing: Dataset | Run, email: str, level: int) -> Grant:
    """Let the person with this address do so much, instead of what they might before."""
    with transaction.atomic():
        take_back(thing, email)  # live pages notice another row, not a changed one
        about = {"email": email, "user": _account(email), "level": level}
        grants = {one.pk: Grant.objects.create(**{_kind(thing): one}, **about) for one in _all(thing)}
    return grants[thing.pk]


def take_back(thing: Dataset | Run, email: str) -> None:
    with transaction.atomic():
        Grant.objects.filter(email=email, **{f"{_kind(thing)}__in": _all(thing)}).delete()


def claim(user: User | None = None, email_address: EmailAddress | None = None, **_: Any) -> None:
    """On log-in, and when an address is confirmed: what waits for an address of this user is theirs."""
    user = user or (email_address and email_address.user)
    addresses = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    Grant.objects.filter(user=None, email__in=[address.lower() for address in addresses]).update(user=user)


def _account(email: str) -> User | None:
    """Who has confirmed this address; where no mail confirms addresses, who has it."""
    confirmed = EmailAddress.objects.filter(email__iexact=email, verified=True).select_related("user").first()
    if confirmed or settings.ACCOUNT_EMAIL_VERIFICATION == "mandatory":
        return confirmed.user if confirmed else None
    return User.objects.filter(email__iexact=email, guest=False).first()


def _kind(thing: Dataset | Run) -> str:
    return "dataset" if isinstance(thing, Dataset) else "run"


def _all(thing: Dataset | Run) -> list[Any]:
    """The run or all versions, locked: a version that is just being made waits, or has the grants of before."""
    things: QuerySet[Any] = thing.versions() if isinstance(thing, Dataset) else Run.objects.filter(pk=thing.pk)
    return list(things.select_for_update())


@posted_from("dataset", "id")
def share_dataset(request: HttpRequest, id: str) -> HttpResponse:
    return _share(request, get_owned(Dataset.objects.select_related("owner"), request.user, id=id))


@posted_from("run", "run_id")
def share_run(request: HttpRequest, run_id: str) -> HttpResponse:
    return _share(request, get_sharable(Run.objects.select_related("owner", "dataset"), request.user, id=run_id))


def _share(request: HttpRequest, thing: Dataset | Run) -> HttpResponse:
    form = GrantForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Type an e-mail address, and choose what this person may do.")
    elif form.cleaned_data["email"] == thing.owner.email.lower():
        messages.error(request, "This is the owner's own address.")
    elif thing.grants.count() >= MOST_PEOPLE:
        messages.error(request, f"It is shared with {MOST_PEOPLE} people already: take back some access first.")
    else:
        with transaction.atomic():
            knows = thing.grants.filter(email=form.cleaned_data["email"], mail_due=None).exists()
            grant = give(thing, **form.cleaned_data)
            tells = not knows and settings.SENDS_MAIL and _may_mail(request, grant.email)
            if tells:
                share_mail.plan(grant, signed_in(request))
        _note(request, "gave access", thing, grant)
        mailed = ", with a mail that says so," if tells else ""
        when = f"at once{mailed} if this address has an account, else once somebody confirms it here"
        messages.success(request, f"{grant.email} {grant.words}: {when}.")
    return redirect(f"{thing.get_absolute_url()}#people")


def _may_mail(request: HttpRequest, email: str) -> bool:
    """Not too often; counted for each owner, so that it tells nothing about what others share."""
    return bool(ratelimit.consume(request, action="share", key=f"{signed_in(request).pk}:{email}"))


@posted_from("dataset-list")
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """By the owner, or by the person who had access and does not want it any more."""
    user = signed_in(request)
    grant = get_object_or_404(Grant.objects.select_related("dataset__owner", "run__owner", "run__dataset"), pk=pk)
    is_mine = grant.user_id == user.pk
    thing = grant.thing if is_mine else get_owned(type(grant.thing).objects.all(), user, pk=grant.thing.pk)
    take_back(thing, grant.email)
    _note(request, "took back access", thing, grant)
    if is_mine and not owns(user, thing):
        messages.success(request, f"“{thing}” is not shared with you any more.")
        return redirect("dataset-list" if grant.dataset_id else "run-list")
    messages.success(request, f"{grant.email} has no access any more.")
    return redirect(f"{thing.get_absolute_url()}#people")


def _note(request: HttpRequest, action: str, thing: Dataset | Run, grant: Grant) -> None:
    who = f"user {grant.user_id}" if grant.user_id else "an address without an account"
    audit.note(request, action, f"{_kind(thing)} {thing.pk}: {who} {grant.words}")
