from django.urls import URLPattern, URLResolver, path

from webapp.leaderboard import views

urlpatterns: list[URLPattern | URLResolver] = [
    path("boards", views.boards, name="boards"),
    path("boards/models.<slug:suffix>", views.models_file, name="boards-models"),
    path("boards/datasets.<slug:suffix>", views.datasets_file, name="boards-datasets"),
    path("boards/data/<slug:dataset_id>", views.dataset_page, name="board-dataset"),
    path("boards/data/<slug:dataset_id>/entries.<slug:suffix>", views.dataset_file, name="board-dataset-file"),
    path("benchmark", views.benchmark_page, name="benchmark"),
    path("benchmark/<str:name>", views.benchmark_file, name="benchmark-file"),
]
