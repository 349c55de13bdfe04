"""The account page: who I am, what I may use, and how to leave with everything that is mine."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from webapp.access import posted_from, signed_in
from webapp.accounts import audit
from webapp.accounts.models import User
from webapp.datasets.storage import largest, storage_of
from webapp.runs.start import quota


class LeaveForm(forms.Form):
    """The password again, so that a forgotten open session cannot delete anything."""

    password = forms.CharField(
        label="Your password, to be sure", widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )

    def __init__(self, user: User, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.user = user

    def clean_password(self) -> str:
        password = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError("This is not your password. Nothing was deleted.")
        return password


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    return _page(request, LeaveForm(signed_in(request)))


@posted_from("account")
def delete(request: HttpRequest) -> HttpResponse:
    """Delete the account, its data sets and runs: rows at once, files with them (webapp.datasets.storage)."""
    user = signed_in(request)
    form = LeaveForm(user, request.POST)
    if _is_only_administrator(user) or not form.is_valid():
        return _page(request, form, status=422)
    logout(request)
    audit.note(request, "deleted the account", user)
    user.delete()
    messages.success(request, "Your account and all your data are deleted.")
    return redirect("home")


def _page(request: HttpRequest, form: LeaveForm, status: int = 200) -> HttpResponse:
    user = signed_in(request)
    context = {
        "form": form,
        "quota": quota(user),
        "storage": storage_of(user),
        "largest": largest(user),
        "dataset_count": user.datasets.count(),
        "run_count": user.runs.count(),
        "only_administrator": _is_only_administrator(user),
    }
    return render(request, "account/account.html", context, status=status)


def _is_only_administrator(user: User) -> bool:
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    return user.is_superuser and not others.exists()
