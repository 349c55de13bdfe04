from django.urls import URLPattern, URLResolver, path

from webapp.runs.pages import model_views, views, why
from webapp.runs.pages.stream import stream

urlpatterns: list[URLPattern | URLResolver] = [
    path("data/<slug:dataset_id>/learn", views.run_start, name="run-start"),
    path("runs/", views.run_list, name="run-list"),
    path("runs/<slug:run_id>", views.run_page, name="run"),
    path("runs/<slug:run_id>/state", views.run_state, name="run-state"),
    path("runs/<slug:run_id>/stream", stream, name="run-stream"),
    path("runs/<slug:run_id>/stop", views.run_stop, name="run-stop"),
    path("runs/<slug:run_id>/cancel", views.run_cancel, name="run-cancel"),
    path("runs/<slug:run_id>/share", views.run_share, name="run-share"),
    path("runs/<slug:run_id>/teach", views.run_teach, name="run-teach"),
    path("runs/<slug:run_id>/delete", views.run_delete, name="run-delete"),
    path("runs/<slug:run_id>/log", views.run_log, name="run-log"),
    path("runs/<slug:run_id>/samples", views.run_samples, name="run-samples"),
    path("runs/<slug:run_id>/why/<int:index>", why.run_why, name="run-why"),
    path("runs/<slug:run_id>/map", views.run_map, name="run-map"),
    path("runs/<slug:run_id>/predictions.csv", views.run_predictions, name="run-predictions"),
    path("runs/<slug:run_id>/challenge-result.zip", views.run_challenge_result, name="run-challenge-result"),
    path("runs/<slug:run_id>/curve.csv", views.run_scores, name="run-scores"),
    path("models/<slug:run_id>", model_views.model_page, name="model"),
    path("models/<slug:run_id>/model.zip", model_views.model_download, name="model-download"),
    path("models/<slug:run_id>/pack", model_views.model_export, name="model-export"),
    path("models/<slug:run_id>/predict", model_views.model_predict, name="model-predict"),
    path("models/<slug:run_id>/predictions/<slug:prediction_id>", model_views.prediction, name="prediction"),
    path(
        "models/<slug:run_id>/predictions/<slug:prediction_id>.csv", model_views.prediction_csv, name="prediction-csv"
    ),
    path("models/<slug:run_id>/predictions/<slug:prediction_id>/why", why.prediction_why, name="prediction-why"),
    path("models/<slug:run_id>/link", model_views.model_link, name="model-link"),
    path("try/<slug:key>", model_views.shared_page, name="try"),
    path("try/<slug:key>/predict", model_views.shared_predict, name="try-predict"),
    path("try/<slug:key>/predictions/<slug:prediction_id>", model_views.shared_prediction, name="try-prediction"),
    path("try/<slug:key>/predictions/<slug:prediction_id>.csv", model_views.shared_csv, name="try-csv"),
    path("api/models/<slug:run_id>/predict", model_views.model_api, name="model-api"),
]
