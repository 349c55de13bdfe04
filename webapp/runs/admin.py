"""Runs for administrators: a list, and what can be done to many of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from webapp.accounts import audit
from webapp.accounts.models import User
from webapp.runs import control, start, words
from webapp.runs.models import Run


@dataclass(frozen=True)
class Plan:
    """Something that can be done to many runs."""

    action: str
    verb: str
    done: str
    which: Q
    promise: str
    none: str
    act: Callable[[Run], Any]


def _start_again(run: Run) -> None:
    """Raises StartError."""
    again = start.create_run(
        run.dataset, run.owner, budget_s=run.budget_s, model=run.model, seed=run.seed, teaches=run.teaches
    )
    Run.objects.filter(pk=again.pk).update(charged=False)


PLANS = {
    "cancel_runs": Plan(
        *("cancel_runs", "cancel", "cancelled", Q(state__in=Run.OPEN)),
        "These runs end now and keep nothing. Those that have not started do not count.",
        "Only runs that wait or train can be cancelled.",
        control.cancel,
    ),
    "start_runs_again": Plan(
        *("start_runs_again", "start", "started again", ~Q(state__in=Run.OPEN) & Q(imported="")),
        "For each of these runs another one with the same settings starts. It does not count for its owner.",
        "Only runs of this site that have ended can be started again.",
        _start_again,
    ),
    "delete_runs": Plan(
        *("delete_runs", "delete", "deleted", Q()),
        "These runs, their models and all their files are deleted for good.",
        "No run is chosen.",
        Run.delete,
    ),
}


@admin.register(Run)
class RunAdmin(admin.ModelAdmin):
    list_display = (
        "__str__",
        "owner",
        "state",
        "export_state",
        "area",
        "training_time",
        "tries",
        "charged",
        "created",
        "ended",
    )
    list_filter = ("state", "export_state", "public", "charged", "created")
    list_select_related = ("owner", "dataset")
    search_fields = ("id", "owner__email", "dataset__name")
    show_full_result_count = False  # nor a hierarchy of dates: both read all rows
    actions = tuple(PLANS)

    @admin.display(description="ALC", ordering="alc")
    def area(self, run: Run) -> str:
        return words.score_value(run.alc)

    @admin.display(ordering="budget_s")
    def training_time(self, run: Run) -> str:
        return words.duration(run.budget_s)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Run | None = None) -> list[str]:
        """Only the refund and the visibility are decided by hand; states belong to the workers."""
        return [field.name for field in Run._meta.fields if field.name not in ("charged", "public")]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without Django's own deletion, which asks for a click only."""
        return {name: action for name, action in super().get_actions(request).items() if name in PLANS}

    @admin.action(description="Cancel …", permissions=["change"])
    def cancel_runs(self, request: HttpRequest, chosen: QuerySet[Run]) -> HttpResponse | None:
        return self._confirmed(request, PLANS["cancel_runs"], chosen)

    @admin.action(description="Start again …", permissions=["change"])
    def start_runs_again(self, request: HttpRequest, chosen: QuerySet[Run]) -> HttpResponse | None:
        return self._confirmed(request, PLANS["start_runs_again"], chosen)

    @admin.action(description="Delete …", permissions=["delete"])
    def delete_runs(self, request: HttpRequest, chosen: QuerySet[Run]) -> HttpResponse | None:
        return self._confirmed(request, PLANS["delete_runs"], chosen)

    def _confirmed(self, request: HttpRequest, plan: Plan, chosen: QuerySet[Run]) -> HttpResponse | None:
        """What would happen, until what the page asks for is typed; if meanwhile other runs are met, it asks anew."""
        runs = list(chosen.filter(plan.which).select_related("owner", "dataset__owner"))
        phrase, typed = f"{plan.verb} {len(runs)}", request.POST.get("typed")
        if runs and typed == phrase:
            self._act(request, plan, runs)
            return None
        ids = list(chosen.values_list("pk", flat=True))
        owners = Counter(str(run.owner) for run in runs)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{plan.verb.capitalize()} runs",
            "plan": plan,
            "runs": runs,
            "phrase": phrase,
            "wrong": typed,
            "chosen_ids": ids,
            "chosen": len(ids),
            "left_out": len(ids) - len(runs),
            "owners": ", ".join(f"{owner} ({count})" for owner, count in owners.most_common(20)),
            "total_bytes": sum(run.size_bytes for run in runs),
        }
        return TemplateResponse(request, "admin/runs/bulk.html", context)

    def _act(self, request: HttpRequest, plan: Plan, runs: list[Run]) -> None:
        failed: Counter[str] = Counter()
        for run in runs:
            name = f"run {run.pk}"
            try:
                plan.act(run)
            except start.StartError as reason:
                failed[str(reason)] += 1
            else:
                assert isinstance(request.user, User)
                audit.note(request, f"{plan.done} for its owner", name)
        messages.success(request, f"Runs {plan.done}: {len(runs) - sum(failed.values())}.")
        for why, count in failed.items():
            messages.warning(request, f"Not {plan.done}: {count}. {why}")
