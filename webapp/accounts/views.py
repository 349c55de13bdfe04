"""The account page: who I am, what I may use, and how to leave with everything that is mine."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.views.decorators.http import require_safe

from webapp import outgoing
from webapp.access import posted_from, signed_in
from webapp.accounts import audit, portable
from webapp.accounts.models import User
from webapp.datasets.forms import UploadForm
from webapp.datasets.models import Dataset, Upload
from webapp.datasets.storage import Refused, of_runs, storage_of
from webapp.runs import notices
from webapp.runs.models import Notice, Run
from webapp.runs.start import quota
from webapp.streaming import stream_zip

LISTED = 25  # data sets, and runs, on a page


class LeaveForm(forms.Form):
    """The password again, so that a forgotten open session cannot delete anything; who has none types the address."""

    password = forms.CharField(
        label="Your password, to be sure", widget=forms.PasswordInput(attrs={"autocomplete": "current-password"})
    )
    address = forms.CharField(label="Your e-mail address, to be sure", widget=forms.EmailInput)

    def __init__(self, user: User, data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.user = user
        del self.fields["address" if user.has_usable_password() else "password"]

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"]
        if address.casefold() != self.user.email.casefold():
            raise forms.ValidationError("This is not the address of this account. Nothing was deleted.")
        return address

    def clean_password(self) -> str:
        password = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError("This is not your password. Nothing was deleted.")
        return password


class NoticesForm(forms.ModelForm):
    webhook_url = forms.URLField(required=False, label="Webhook", assume_scheme="https")

    class Meta:
        model = User
        fields = ("mail_notices", "webhook_url")

    def clean_webhook_url(self) -> str:
        url: str = self.cleaned_data["webhook_url"]
        try:
            if url and url != self.initial["webhook_url"]:
                outgoing.resolve(url)
        except outgoing.Refused as error:
            raise forms.ValidationError(str(error)) from error
        except outgoing.Failed as error:
            raise forms.ValidationError(f"This address does not work: {error}.") from error
        return url

    def save(self, commit: bool = True) -> User:
        """A new address gets a new secret."""
        if "webhook_url" in self.changed_data:
            self.instance.webhook_secret = notices.new_secret() if self.cleaned_data["webhook_url"] else ""
        self.instance.save(update_fields=["mail_notices", "webhook_url", "webhook_secret"])
        return self.instance


@login_required
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    return _page(request, LeaveForm(signed_in(request)))


@login_required
@require_safe
def storage(request: HttpRequest) -> HttpResponse:
    """What takes how much of the user's space, the largest first."""
    user = signed_in(request)
    own = Run.objects.filter(owner=user)
    mine = {"run_count": of_runs(Count("pk"), own), "runs_bytes": of_runs(Sum("size_bytes"), own)}
    of_dataset = {name: Coalesce(found, 0) for name, found in mine.items()}
    datasets = (
        Dataset.objects.filter(owner=user)
        .select_related("unused")
        .annotate(**of_dataset)
        .order_by("-size_bytes", "-pk")
    )
    runs = own.select_related("dataset").order_by("-size_bytes", "-pk")
    context = {
        "storage": storage_of(user),
        "models_bytes": own.aggregate(found=Sum("model_bytes"))["found"],
        "datasets": Paginator(datasets, LISTED).get_page(request.GET.get("page")),
        "runs": Paginator(runs, LISTED).get_page(request.GET.get("runs")),
        "uploads": Upload.objects.filter(owner=user).order_by("-size_bytes"),
    }
    return render(request, "account/storage.html", context)


@login_required
@require_safe
def export(request: HttpRequest) -> HttpResponseBase:
    """Everything of the user as a zip, made while it is sent."""
    return stream_zip(portable.members(signed_in(request)), "autodl-account.zip")


@posted_from("account")
def take(request: HttpRequest) -> HttpResponse:
    """Data sets and runs of an export, from this or another site."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, "Choose the zip of an export.")
        return redirect("account")
    try:
        taken = portable.take(signed_in(request), form.cleaned_data["file"])
    except Refused as refused:
        messages.error(request, refused.sentence)
        return redirect("account")
    datasets, runs = len(taken.datasets), len(taken.runs)
    said = f"{datasets} data set{pluralize(datasets)} and {runs} run{pluralize(runs)} imported"
    messages.success(request, f"{said}; data sets are being converted now.")
    if taken.left_out:
        why = "not ended there, or on a data set that is neither in the zip nor on this site"
        messages.warning(request, f"{taken.left_out} run{pluralize(taken.left_out)} left out: {why}.")
    return redirect("dataset-list")


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


@posted_from("account")
def save_notices(request: HttpRequest) -> HttpResponse:
    form = NoticesForm(request.POST, instance=User.objects.get(pk=signed_in(request).pk))
    if not form.is_valid():
        return _page(request, LeaveForm(signed_in(request)), form, status=422)
    form.save()
    messages.success(request, "Your notifications are saved.")
    return redirect("account")


def _page(
    request: HttpRequest, form: LeaveForm, notices_form: NoticesForm | None = None, status: int = 200
) -> HttpResponse:
    user = signed_in(request)
    webhooks = Notice.objects.filter(run__owner=user, kind=Notice.Kind.WEBHOOK).select_related("run__dataset")
    last = webhooks.order_by("-run__created", "-pk").first() if user.webhook_url else None
    context = {
        "form": form,
        "notices": notices_form or NoticesForm(instance=user),
        "last_webhook": last,
        "quota": quota(user),
        "storage": storage_of(user),
        "dataset_count": user.datasets.count(),
        "run_count": user.runs.count(),
        "only_administrator": _is_only_administrator(user),
    }
    return render(request, "account/account.html", context, status=status)


def _is_only_administrator(user: User) -> bool:
    others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
    return user.is_superuser and not others.exists()
