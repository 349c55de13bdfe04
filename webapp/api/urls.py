from django.urls import URLPattern, URLResolver, path

from webapp.api import views
from webapp.api.endpoints import api

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", api.urls),
    path("account/tokens", views.tokens, name="tokens"),
    path("account/tokens/<int:pk>/revoke", views.revoke, name="token-revoke"),
]
