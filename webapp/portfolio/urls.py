from django.urls import URLPattern, URLResolver, path

from webapp.portfolio import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("portfolio", views.index, name="portfolio"),
    path("portfolio/add", views.edit, name="portfolio-add"),
    path("portfolio/import", views.import_row, name="portfolio-import"),
    path("portfolio/row/<slug:name>", views.edit, name="portfolio-row"),
    path("portfolio/row/<slug:name>/switch", views.switch, name="portfolio-switch"),
    path("portfolio/row/<slug:name>/evaluate", views.evaluate, name="portfolio-evaluate"),
    path("portfolio/row/<slug:name>/progress", views.progress, name="portfolio-progress"),
    path("portfolio/row/<slug:name>/row.yaml", views.row_yaml, name="portfolio-yaml"),
    path("portfolio/row/<slug:name>/restore", views.restore, name="portfolio-restore"),
]
