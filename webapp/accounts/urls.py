from django.urls import path

from webapp.accounts import views

urlpatterns = [
    path("account/", views.account, name="account"),
    path("account/storage", views.storage, name="storage"),
    path("account/notices", views.save_notices, name="account-notices"),
    path("account/delete", views.delete, name="account-delete"),
]
