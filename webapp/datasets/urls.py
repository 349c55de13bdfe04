from django.urls import URLPattern, URLResolver, path

from webapp.datasets import fixes, tus, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("uploads/", tus.collection, name="upload"),
    path("uploads/<slug:id>", tus.part, name="upload-part"),
    path("data/", views.index, name="dataset-list"),
    path("data/upload", views.upload_form, name="upload-form"),
    path("data/import", views.import_from, name="dataset-import"),
    path("data/upload/<slug:id>/discard", views.upload_discard, name="upload-discard"),
    path("data/<slug:id>", views.detail, name="dataset"),
    path("data/<slug:id>/progress", views.progress, name="dataset-progress"),
    path("data/<slug:id>/preview/<str:name>", views.preview, name="dataset-preview"),
    path("data/<slug:id>/sample/<slug:split>/<int:index>", views.sample, name="dataset-sample"),
    path("data/<slug:id>/download", views.download, name="dataset-download"),
    path("data/<slug:id>/more", views.more, name="dataset-more"),
    path("data/<slug:id>/choices", views.choose, name="dataset-choices"),
    path("data/<slug:id>/fix", fixes.fix_samples, name="dataset-fix"),
    path("data/<slug:id>/fix/classes", fixes.fix_classes, name="dataset-fix-classes"),
    path("data/<slug:id>/fix/column", fixes.fix_column, name="dataset-fix-column"),
    path("data/<slug:id>/fix/<int:finding>/<int:number>", fixes.fix_finding, name="dataset-fix-finding"),
    path("data/<slug:id>/undo", fixes.undo, name="dataset-undo"),
    path("data/<slug:id>/rename", views.rename, name="dataset-rename"),
    path("data/<slug:id>/publish", views.publish, name="dataset-publish"),
    path("data/<slug:id>/delete", views.delete, name="dataset-delete"),
]
