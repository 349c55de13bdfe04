"""One public run on each starter data set, so that a new site has learning curves and leaderboards.

They begin only while nobody has a run or a conversion, and end at once when somebody starts one.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import QuerySet

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs import queue
from webapp.runs.models import Run, SpentRun

OWNER = "starter-runs@site.invalid"  # nobody can log in as this user
UNREAD = (Dataset.State.QUEUED, Dataset.State.CONVERTING)


def advance() -> None:
    """Start the next one if the site is idle; called every 5 s.  After a restart the reaper repeats one that was lost.

    Each data set gets one run, however that ends; once an administrator has deleted one, no more begin.
    """
    if not settings.STARTER_RUNS:
        return
    starters = Dataset.objects.filter(starter=True, public=True, state=Dataset.State.READY)
    dataset = starters.exclude(runs__in=_runs()).order_by("created").first()
    if dataset is None or SpentRun.objects.filter(owner__email=OWNER).exists():
        return
    if not (Run.objects.filter(state__in=Run.OPEN).exists() or Dataset.objects.filter(state__in=UNREAD).exists()):
        _start(dataset)


@transaction.atomic
def _start(dataset: Dataset) -> None:
    about_owner = {"is_active": False, "mail_notices": False, "password": make_password(None)}
    owner = User.objects.get_or_create(email=OWNER, defaults=about_owner)[0]
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    about = {"budget_s": min(settings.BUDGETS_S), "number": Run.next_number(dataset), "public": True, "teaches": True}
    queue.enqueue_train(Run.objects.create(owner=owner, dataset=dataset, **about))


def give_way() -> None:
    """Somebody starts a run or a conversion: ours goes, its worker notices within a second, and it begins later."""
    ours = _runs().filter(state__in=Run.OPEN)
    ours.update(charged=False)  # so that it does not count as deleted by an administrator
    ours.delete()


def _runs() -> QuerySet[Run]:
    return Run.objects.filter(owner__email=OWNER)
