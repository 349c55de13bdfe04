from django.urls import URLPattern, URLResolver, path

from webapp.challenges import manage, views

urlpatterns: list[URLPattern | URLResolver] = [
    path("challenges/", views.index, name="challenges"),
    path("data/<slug:dataset_id>/challenge", manage.new, name="challenge-new"),
    path("challenges/<slug:challenge_id>", views.page, name="challenge"),
    path("challenges/<slug:challenge_id>/edit", manage.edit, name="challenge-edit"),
    path("challenges/<slug:challenge_id>/open", manage.open_, name="challenge-open"),
    path("challenges/<slug:challenge_id>/end", manage.close, name="challenge-end"),
    path("challenges/<slug:challenge_id>/delete", manage.delete, name="challenge-delete"),
    path("challenges/<slug:challenge_id>/data.zip", views.data, name="challenge-data"),
    path("challenges/<slug:challenge_id>/samples/<int:index>", views.sample, name="challenge-sample"),
    path("challenges/<slug:challenge_id>/entries", views.enter_file, name="challenge-file"),
    path("challenges/<slug:challenge_id>/runs", views.enter_run, name="challenge-run"),
    path("challenges/<slug:challenge_id>/entries/<int:number>/choose", views.choose, name="challenge-choose"),
    path(
        "challenges/<slug:challenge_id>/<slug:board>-board.<slug:suffix>", views.board_file, name="challenge-board-file"
    ),
]
