"""All pages.  Each app keeps its own list; names are global (``dataset``, ``run``, ...)."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("admin/queues/", include("django_rq.urls")),
    path("admin/", admin.site.urls),
    path("", include("webapp.ops.urls")),
    path("", include("webapp.accounts.urls")),
    path("", include("webapp.datasets.urls")),
    path("", include("webapp.runs.urls")),
    path("", include("webapp.leaderboard.urls")),
    path("", include("webapp.portfolio.urls")),
    path("", include("webapp.challenges.urls")),
    path("", include("webapp.guide.urls")),
    path("", include("webapp.api.urls")),
]
