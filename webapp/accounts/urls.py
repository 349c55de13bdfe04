from django.urls import path

from webapp.accounts import retention, sharing, views

urlpatterns = [
    path("account/", views.account, name="account"),
    path("account/storage", views.storage, name="storage"),
    path("account/notices", views.save_notices, name="account-notices"),
    path("account/export", views.export, name="account-export"),
    path("account/import", views.take, name="account-take"),
    path("data/<slug:id>/keep", retention.keep, name="dataset-keep"),
    path("account/delete", views.delete, name="account-delete"),
    path("data/<slug:id>/people", sharing.share_dataset, name="dataset-people"),
    path("runs/<slug:run_id>/people", sharing.share_run, name="run-people"),
    path("grants/<int:pk>/withdraw", sharing.withdraw, name="grant-withdraw"),
]
