from django.urls import URLPattern, URLResolver, path

from webapp.portfolio import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("portfolio", views.index, name="portfolio"),
    path("portfolio/add", views.edit, name="portfolio-add"),
    path("portfolio/row/<slug:name>", views.edit, name="portfolio-row"),
    path("portfolio/row/<slug:name>/switch", views.switch, name="portfolio-switch"),
]
