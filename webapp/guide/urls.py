from django.urls import URLPattern, URLResolver, path

from webapp.guide import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("guide", views.page, {"name": "guide"}, name="guide"),
    path("guide/starting-kit", views.kit, name="guide-kit"),
    path("guide/format", views.layouts, name="guide-format"),
    path("guide/predictions", views.page, {"name": "guide-predictions"}, name="guide-predictions"),
    path("guide/score", views.score, name="guide-score"),
    path("guide/terms", views.text, {"name": "terms"}, name="guide-terms"),
    path("guide/credits", views.text, {"name": "credits"}, name="guide-credits"),
    path("guide/terms/edit", views.edit, {"name": "terms"}, name="guide-terms-edit"),
    path("guide/credits/edit", views.edit, {"name": "credits"}, name="guide-credits-edit"),
    path("guide/samples/<str:name>", views.sample, name="guide-sample"),
    path("guide/starting-kit/autodl_bundle.py", views.script, name="guide-script"),
    path("guide/starting-kit/<slug:dataset_id>/raw", views.starter, name="guide-starter"),
]
