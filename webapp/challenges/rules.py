"""Who may look at a challenge, who may take part and when, and what keeps one from being opened."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.formats import date_format

from webapp import engine
from webapp.access import VIEW, may
from webapp.accounts.models import AuditEntry, User
from webapp.challenges import scores
from webapp.challenges.models import Challenge, Entry, Phase, open_challenges
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

Viewer = User | AnonymousUser
OVER = "This challenge is over."
Challenges = Challenge.objects.select_related("dataset__owner").prefetch_related("phases")


def get_shown(user: Viewer, challenge_id: str) -> Challenge:
    """One that is opened: whoever has its address may look at it.  A draft is its owner's."""
    found = _shown(user).filter(id=challenge_id).first()
    if found is None:
        raise Http404
    return found


def _shown(user: Viewer) -> QuerySet[Challenge]:
    if user.is_authenticated and user.is_staff:
        return Challenges
    opened = Q(opened__isnull=False)
    return Challenges.filter(opened | Q(dataset__owner=user) if user.is_authenticated else opened)


def listed() -> QuerySet[Challenge]:
    return Challenges.filter(public=True, opened__isnull=False).order_by("-opened")


def has_account(user: Viewer) -> bool:
    return isinstance(user, User) and not user.guest


def sees_labels(challenge: Challenge, user: User) -> bool:
    """Whether this user may look at a version of the data set, or at the results of a run on one, which tell labels.

    Own runs are from a time when the user had access: their files name test samples with their labels.
    """
    versions = list(challenge.dataset.versions())
    if any(may(user, version, VIEW) for version in versions):
        return True
    return Run.objects.filter(Q(owner=user) | Q(grants__user=user), dataset__in=versions).exists()


def refusal(challenge: Challenge, user: Viewer) -> str:
    """Why this user can enter nothing now; empty if they can."""
    if not isinstance(user, User) or user.guest:
        return "Log in or register to take part."
    if challenge.opened is None:
        return "This challenge is a draft: nobody can take part before you open it."
    if challenge.is_over:
        return OVER
    if sees_labels(challenge, user):
        return "You have or had access to this data set, and so to its test labels: you cannot take part."
    phase = challenge.phase()
    coming = challenge.next_phase()
    if phase:
        return limit(challenge, phase, user)
    return f"The phase {coming.name} begins on {_told(coming)}." if coming else OVER


def limit(challenge: Challenge, phase: Phase, user: User) -> str:
    """The limit of the phase that this user has reached; empty if none."""
    today, total = used(challenge, phase, user)
    if total >= phase.total:
        return f"You have made all {phase.total} entries of the phase {phase.name}."
    if today >= phase.per_day:
        return f"You have made all {phase.per_day} entries of today: the next can come after midnight (server time)."
    return ""


def used(challenge: Challenge, phase: Phase, user: User) -> tuple[int, int]:
    """Entries of this user in the phase today, and in all; those that failed do not count."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    mine = Entry.objects.filter(challenge=challenge, user=user, created__gte=phase.start).exclude(state="failed")
    counts = mine.aggregate(today=Count("pk", filter=Q(created__gte=midnight)), total=Count("pk"))
    return counts["today"], counts["total"]


def obstacle(challenge: Challenge) -> str:
    """Why it cannot be opened; empty if it can."""
    dataset, versions = challenge.dataset, list(challenge.dataset.versions())
    if dataset.state != Dataset.State.READY:
        return "The data set is not ready: wait until it is checked, or fix the problem that its page names."
    if any(version.public for version in versions):
        return "A version of the data set is public, so everybody can see its test labels: make it private first."
    if open_challenges(dataset).exists():
        return "Another challenge on this data set is open: its scores would tell more about the same labels."
    phases = list(challenge.phases.all())
    if not phases or phases[-1].end <= timezone.now():
        return "Every phase is over already: give it other dates."
    try:
        parts = scores.parts(challenge)
    except engine.DataError:
        return "The data set has no test labels, so nothing can be scored."
    if not all(parts.can_be_scored):
        return "The test set is too small: each part of it needs samples of at least two classes."
    return ""


def warning(challenge: Challenge) -> str:
    """What its owner should know before opening it; empty if nothing."""
    names = [f"dataset {version.pk}" for version in challenge.dataset.versions()]
    if AuditEntry.objects.filter(action="published", subject__in=names).exists():
        return "This data set was public before: people may have downloaded it with its test labels."
    return ""


def delete_refusal(dataset: Dataset) -> str:
    """Why the data set cannot be deleted; empty if it can."""
    found = open_challenges(dataset).filter(dataset=dataset).first()
    return f"The challenge “{found}” on this data set is open: end it first." if found else ""


def publish_refusal(dataset: Dataset) -> str:
    """Why the data set cannot be published; empty if it can."""
    found = open_challenges(dataset).first()
    return f"The challenge “{found}” hides the test labels of this data set: end it first." if found else ""


def _told(phase: Phase) -> str:
    return date_format(timezone.localtime(phase.start), "j M Y, H:i T")
