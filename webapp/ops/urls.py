from django.urls import path
from django.views.generic import TemplateView

from webapp.ops.pages import views

urlpatterns = [
    path("", views.home, name="home"),
    path("status", views.status_page, name="status"),
    path("glossary", TemplateView.as_view(template_name="ops/glossary.html"), name="glossary"),
]
