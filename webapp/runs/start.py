"""Before a run: its settings, the first configurations, the expected start; and its creation."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from rq import Worker

from webapp import engine
from webapp.access import USE, may
from webapp.accounts import guests
from webapp.accounts.models import User
from webapp.database import number
from webapp.datasets.models import Dataset
from webapp.datasets.storage import storage_of
from webapp.ops import queues, starter_runs, turns
from webapp.portfolio import gains
from webapp.portfolio.models import PortfolioRow
from webapp.portfolio.rows import obstacle
from webapp.runs import queue, words
from webapp.runs.models import Run, SpentRun

START_UP_S = 15  # loading, decoding before the clock, packing after it: what a run takes beside its budget
SHOWN_ROWS = 3
MAX_SEED = 2**31 - 1


GUEST_PAUSE = timedelta(hours=1)
"""Between two runs of a guest."""


class StartError(Exception):
    """The run cannot start; ``str`` is one sentence for the user."""


@dataclass(frozen=True)
class Quota:
    """Runs that a user may still start."""

    left_today: int
    left_total: int
    per_day: int

    @property
    def left(self) -> int:
        return min(self.left_today, self.left_total)


@dataclass(frozen=True)
class Forecast:
    """Open runs before this one, and the seconds until it would start if all use their whole budget."""

    ahead: int
    starts_in_s: float
    workers: int

    @property
    def sentence(self) -> str:
        if not self.workers:
            return "No training worker is running: the run starts when one is back."
        if self.starts_in_s <= 0:
            return "A worker is free: training starts immediately."
        runs = "1 run is" if self.ahead == 1 else f"{self.ahead} runs are"
        return f"{runs} ahead; this one starts in about {words.duration(round(self.starts_in_s, -1) or 10)}."


def quota(user: User) -> Quota:
    """What is left of the user's runs; those that failed by our fault do not count, deleted ones do.  A guest may start
    one an hour."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    since = timezone.now() - GUEST_PAUSE if user.guest else midnight
    spent = (Run.objects.filter(owner=user, charged=True), SpentRun.objects.filter(owner=user))
    counts = [number(rows.filter(created__gte=since)) for rows in spent] + [number(rows) for rows in spent]
    runs_lately, deleted_lately, runs, deleted = User.objects.filter(pk=user.pk).values_list(*counts).get()
    used_lately, used = runs_lately + deleted_lately, runs + deleted
    if user.guest:
        left = 0 if used_lately else 1
        return Quota(left, left, 1)
    return Quota(
        left_today=max(0, user.max_runs_per_day - used_lately),
        left_total=max(0, user.max_runs_total - used),
        per_day=user.max_runs_per_day,
    )


def forecast(run: Run | None = None, user: User | AnonymousUser | None = None) -> Forecast:
    """Simulate the train queue, in the order of the workers, up to ``run`` (None: one that ``user`` starts now)."""
    now = timezone.now()
    waiting: dict[turns.Ticket, deque[tuple[int, float, str]]] = defaultdict(deque)  # place, time and id
    busy: list[tuple[float, int]] = []  # when each running one ends, in seconds from now, and its owner
    needed = ("pk", "state", "budget_s", "state_since", "owner", "owner__guest")
    open_runs = Run.objects.filter(state__in=Run.OPEN).order_by("state_since").values_list(*needed)
    for place, (pk, state, budget_s, since, owner, guest) in enumerate(open_runs):
        takes_s = float(budget_s + START_UP_S)
        if state == Run.State.QUEUED:
            waiting[turns.Ticket(owner, guest)].append((place, takes_s, pk))
        else:
            busy.append((max(1.0, takes_s - (now - since).total_seconds()), owner))
    if run is None:
        own = turns.Ticket((user and user.pk) or 0, user is not None and is_guest(user))
        waiting[own].append((len(open_runs), 0.0, ""))
    heapq.heapify(busy)
    workers, last_starts = max(worker_count(), len(busy)), _last_starts()
    starts_in_s, ahead = 0.0, len(busy)
    while waiting:
        if len(busy) >= max(workers, 1):
            starts_in_s, _ = heapq.heappop(busy)
        heads = sorted(waiting, key=lambda ticket: waiting[ticket][0])  # of each owner's runs the oldest
        ticket = heads[turns.next_index(heads, [owner for _, owner in busy], last_starts)]
        _, takes_s, pk = waiting[ticket].popleft()
        if not waiting[ticket]:
            del waiting[ticket]
        if pk == (run.pk if run else ""):
            return Forecast(ahead, starts_in_s, workers)
        heapq.heappush(busy, (starts_in_s + takes_s, ticket.owner))
        last_starts[ticket.owner] = now.timestamp() + starts_in_s
        ahead += 1
    return Forecast(0, 0.0, workers)  # it has started just now


def is_guest(user: User | AnonymousUser) -> bool:
    """A visitor becomes one by starting a run."""
    return not isinstance(user, User) or user.guest


def budgets_of(user: User | AnonymousUser) -> list[int]:
    """Training times in seconds that this user may choose from."""
    return [seconds for seconds in settings.BUDGETS_S if seconds <= settings.GUEST_RUN_S or not is_guest(user)]


def worker_count() -> int:
    """Workers that take training jobs; 0 when the queue cannot be asked."""
    try:
        return Worker.count(queue=queues.get("train"))
    except redis.exceptions.ConnectionError:
        return 0


def _last_starts() -> dict[int, float]:
    try:
        return queues.get("train").last_starts()
    except redis.exceptions.ConnectionError:
        return {}


def start_context(dataset: Dataset, user: User | AnonymousUser) -> dict[str, Any]:
    """Everything that ``templates/runs/_start_panel.html`` shows, under the one key ``start``."""
    enabled = PortfolioRow.objects.filter(modality=dataset.modality, enabled=True)
    rows = [row for row, _ in gains.arranged(list(enabled)) if not obstacle(row)]
    budgets = [(seconds, *words.budget_choice(seconds)) for seconds in budgets_of(user)]
    start: dict[str, Any] = {
        "dataset": dataset,
        "budgets": budgets,
        "default_budget_s": 60 if 60 in budgets_of(user) else settings.BUDGETS_S[0],
        "guest": is_guest(user),
        "guest_run_s": settings.GUEST_RUN_S,
        "closed": not budgets or not (isinstance(user, User) or guests.are_welcome()),
        "rows": rows,
        "first_rows": [row for row in rows if row.model not in engine.configuration.ALONE][:SHOWN_ROWS],
        "forecast": forecast(user=user),
        "obstacle": "",
    }
    if isinstance(user, User):
        start["quota"] = quota(user)
        asked = "" if may(user, dataset, USE) else "You may view this data set: ask its owner to let you start runs."
        start["obstacle"] = asked or _obstacle(dataset, user, start["quota"]) or _full(user)
        start["can_teach"] = dataset.public or dataset.owner_id == user.pk
        start["again"] = _to_repeat(dataset, user)
    return {"start": start}


def _to_repeat(dataset: Dataset, user: User) -> Run | None:
    """The user's last run on an earlier version, for one click on a new one."""
    if dataset.version == 1:
        return None
    runs = Run.objects.filter(owner=user, dataset__in=dataset.versions()).select_related("dataset")
    last = runs.first()
    return last if last and last.dataset_id != dataset.pk else None


def create_run(
    dataset: Dataset,
    user: User,
    *,
    budget_s: int,
    model: str = "auto",
    seed: int = 0,
    teaches: bool | None = None,
    host: User | None = None,
) -> Run:
    """Create and enqueue a run; the caller has checked that the user may use the data set.

    Args:
        teaches: whether its scores are shared; by default only for public data.
        host: whose the run and its files are, if not the user's, against whom it still counts.

    Raises:
        StartError: a choice is invalid, the data is not ready or the quota is used up.
    """
    if budget_s not in budgets_of(user):
        raise StartError(f"Choose one of the training times: {', '.join(words.duration(s) for s in budgets_of(user))}.")
    if not 0 <= seed <= MAX_SEED:
        raise StartError(f"The seed must be between 0 and {MAX_SEED}.")
    if host and not storage_of(host).left_bytes:
        raise StartError("The storage of the data set's owner is full, so no run can start on it.")
    if not host and (full := _full(user)):
        raise StartError(full)
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=user.pk)  # two clicks at once cannot pass the quota
        dataset = Dataset.objects.select_for_update().get(pk=dataset.pk)
        if reason := _obstacle(dataset, user, quota(user)):
            raise StartError(reason)
        if model != "auto":
            _check_row(model, dataset)
        starter_runs.give_way()
        chosen: dict[str, Any] = {"budget_s": budget_s, "model": model, "seed": seed}
        chosen |= {"teaches": dataset.public if teaches is None else teaches, "charged": host is None}
        run = Run.objects.create(owner=host or user, dataset=dataset, number=Run.next_number(dataset), **chosen)
        if host:
            SpentRun.objects.create(owner=user, created=run.created)
        queue.enqueue_train(run)
    return run


def _check_row(name: str, dataset: Dataset) -> None:
    row = PortfolioRow.objects.filter(modality=dataset.modality, enabled=True, name=name).first()
    if row is None:
        raise StartError(f"“{name}” is not a configuration in use for {dataset.modality} data.")
    if why := obstacle(row):
        raise StartError(f"“{name}” cannot run here. {why}")


def _obstacle(dataset: Dataset, user: User, left: Quota) -> str:
    """Why no run can start now; empty when one can."""
    if dataset.state != Dataset.State.READY:
        return "The data is not ready yet: wait until it is checked, or fix the problem that the report names."
    if user.guest and not left.left:
        return "Without an account you can start one run an hour: register to train now. Your data and models are kept."
    if not left.left_total:
        return "All your runs are used up: ask the administrator for more. Your data and models are kept."
    if not left.left_today:
        return f"All {left.per_day} runs of today are used up: the next can start after midnight (server time)."
    return ""


def _full(user: User) -> str:
    """A run writes its predictions and its model: that needs some of the user's space."""
    return (
        "" if storage_of(user).left_bytes else "Your storage is full: delete data sets or runs that you no longer need."
    )
