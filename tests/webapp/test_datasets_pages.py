"""The pages of a data set for its owner, a stranger, an administrator and somebody who is not logged in."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from django.test import Client

from webapp.accounts.models import User
from webapp.datasets import report, storage
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

MakeDataset = Callable[..., Dataset]
MakeRun = Callable[..., Run]

READ = ["", "/progress", "/preview/test-0.png", "/download"]
CHANGE = ["/choices", "/rename", "/publish", "/delete"]


@pytest.fixture
def dataset(owner: User, make_dataset: MakeDataset) -> Dataset:
    return make_dataset(owner)


@pytest.mark.parametrize("page", READ)
def test_private_pages(
    dataset: Dataset,
    page: str,
    owner_client: Client,
    admin_client: Client,
    stranger_client: Client,
    client: Client,
) -> None:
    url = f"/data/{dataset.id}{page}"
    statuses = [someone.get(url).status_code for someone in (owner_client, admin_client, stranger_client, client)]
    assert statuses == [200, 200, 404, 404]


@pytest.mark.parametrize("page", READ)
def test_public_pages(dataset: Dataset, page: str, stranger_client: Client, client: Client) -> None:
    Dataset.objects.update(public=True)
    assert [someone.get(f"/data/{dataset.id}{page}").status_code for someone in (stranger_client, client)] == [200, 200]


@pytest.mark.parametrize("page", CHANGE)
def test_only_the_owner_changes(dataset: Dataset, page: str, stranger_client: Client, client: Client) -> None:
    Dataset.objects.update(public=True)
    for someone in (stranger_client, client):
        assert someone.post(f"/data/{dataset.id}{page}", {"name": "mine", "public": "no"}).status_code == 404
    assert stranger_client.get(f"/data/{dataset.id}/delete").status_code == 404
    dataset.refresh_from_db()
    assert (dataset.name, dataset.public) == ("toy", True)
    assert dataset.raw_path.exists()


@pytest.mark.parametrize("page", CHANGE[:3])
def test_changes_are_posts(dataset: Dataset, page: str, owner_client: Client) -> None:
    assert owner_client.get(f"/data/{dataset.id}{page}").status_code == 405


def test_my_data_needs_a_login(client: Client, db: None) -> None:
    assert client.get("/data/")["Location"].startswith("/accounts/login/")


def test_my_data_lists_mine_only(dataset: Dataset, owner_client: Client, stranger_client: Client) -> None:
    page = owner_client.get("/data/").content.decode()
    assert "18 images in 2 classes" in page
    assert "of 20" in page  # storage
    assert "18 images in 2 classes" not in stranger_client.get("/data/").content.decode()


def test_report_tells_what_was_found(dataset: Dataset, owner_client: Client) -> None:
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    for words in (
        "18 images in 2 classes",
        "All 18 files are PNG",
        "2 images are the same",
        "Remove one",
        "__MACOSX/x",
    ):
        assert words in page
    assert "2 exact duplicates" in page
    assert f"/data/{dataset.id}/learn" in page
    assert page.count('class="button primary"') == 1


def test_report_of_a_table_shows_its_columns(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    page = owner_client.get(f"/data/{make_dataset(owner, 'tabular').id}").content.decode()
    assert "All values are numbers" in page
    assert '<svg class="histogram"' in page
    assert "row 1" in page


def test_samples_by_class_and_split(dataset: Dataset, owner_client: Client) -> None:
    page = owner_client.get(f"/data/{dataset.id}?label=dark&split=train").content.decode()
    assert page.count('class="sample"') == 6
    assert "dark/train0.png" in page
    assert "light/train" not in page
    odd = owner_client.get(f"/data/{dataset.id}?label=none&split=x&page=-1")
    assert "This class has no test sample" in odd.content.decode()


def test_states_are_told(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    waiting = make_dataset(owner, state="converting", progress="reading 18 images")
    response = owner_client.get(f"/data/{waiting.id}")
    assert "reading 18 images" in response.content.decode()
    fragment = owner_client.get(f"/data/{waiting.id}/progress")
    assert "HX-Refresh" not in fragment
    failed = make_dataset(owner, state="failed", error="The zip is encrypted: send it without a password.")
    assert "The zip is encrypted" in owner_client.get(f"/data/{failed.id}").content.decode()
    assert owner_client.get(f"/data/{failed.id}/progress")["HX-Refresh"] == "true"


@pytest.mark.parametrize(
    "name", ["../report.json", "..%2freport.json", "test.jsonl", "x.html", "nothing.png", "%2e%2e"]
)
def test_previews_serve_pictures_only(dataset: Dataset, owner_client: Client, name: str) -> None:
    (dataset.autodl_dir / "previews" / "x.html").write_text("<script>alert(1)</script>")
    assert owner_client.get(f"/data/{dataset.id}/preview/{name}").status_code == 404


def test_preview_type_is_ours_and_not_guessed(dataset: Dataset, owner_client: Client) -> None:
    response = owner_client.get(f"/data/{dataset.id}/preview/test-0.png")
    assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert response.content.startswith(b"\x89PNG")


def test_a_preview_is_kept_until_it_changes(dataset: Dataset, owner_client: Client) -> None:
    path = f"/data/{dataset.id}/preview/test-0.png"
    etag = owner_client.get(path)["ETag"]
    assert owner_client.get(path, headers={"If-None-Match": etag}).status_code == 304
    (dataset.autodl_dir / "previews" / "test-0.png").write_bytes(b"converted again")
    assert owner_client.get(path, headers={"If-None-Match": etag}).content == b"converted again"


def test_symlinks_are_not_followed(dataset: Dataset, owner_client: Client) -> None:
    (dataset.autodl_dir / "previews" / "evil.png").symlink_to("/etc/passwd")
    assert owner_client.get(f"/data/{dataset.id}/preview/evil.png").status_code == 404


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # the test client is synchronous
def test_download_is_the_data_set(dataset: Dataset, owner_client: Client) -> None:
    response = owner_client.get(f"/data/{dataset.id}/download")
    assert response["Content-Disposition"] == 'attachment; filename="toy-autodl.zip"'
    with zipfile.ZipFile(io.BytesIO(b"".join(response))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert archive.read("toy.solution") == (dataset.autodl_dir / "toy.solution").read_bytes()
    assert "toy.data/train/metadata.textproto" in names
    assert not any(name.startswith("previews") for name in names)


def test_choices_convert_again(dataset: Dataset, owner_client: Client, jobs: list[Any]) -> None:
    owner_client.post(f"/data/{dataset.id}/choices", {"modality": "image", "test_size": "0.5", "seed": "3"})
    dataset.refresh_from_db()
    assert (dataset.state, dataset.options) == ("queued", {"modality": "image", "test_size": 0.5, "seed": 3})


def test_what_was_doubtful_can_be_chosen(dataset: Dataset, owner_client: Client, jobs: list[Any]) -> None:
    address = f"/data/{dataset.id}"
    assert 'name="encoding"' not in owner_client.get(address).content.decode()
    path = dataset.autodl_dir / "report.json"
    report = json.loads(path.read_text())
    readings = [
        {"name": name, "title": title, "sample": "Москва"} for name, title in (("cp1251", "W"), ("koi8_r", "K"))
    ]
    report["options"] |= {"encoding": "cp1251", "encoding_candidates": readings, "date_order": "day"}
    path.write_text(json.dumps(report))
    page = owner_client.get(address).content.decode()
    assert '<option value="cp1251" selected>W: Москва</option>' in page
    assert '<option value="day" selected>the day comes first</option>' in page
    owner_client.post(f"{address}/choices", {"encoding": "koi8_r", "date_order": "month"})
    dataset.refresh_from_db()
    assert dataset.options == {"encoding": "koi8_r", "date_order": "month"}


def test_choices_are_checked(dataset: Dataset, owner_client: Client) -> None:
    response = owner_client.post(f"/data/{dataset.id}/choices", {"test_size": "7", "modality": "smell"}, follow=True)
    assert "Test share" in response.content.decode()
    dataset.refresh_from_db()
    assert dataset.state == "ready"


def test_choices_with_runs_make_a_new_data_set(
    dataset: Dataset, make_run: MakeRun, owner_client: Client, jobs: list[Any]
) -> None:
    make_run(dataset)
    response = owner_client.post(f"/data/{dataset.id}/choices", {"seed": "3"})
    copy = Dataset.objects.exclude(id=dataset.id).get()
    assert response["Location"] == f"/data/{copy.id}"
    assert copy.raw_path.read_bytes() == b"the upload"
    assert (copy.state, copy.options) == ("queued", {"seed": 3})
    dataset.refresh_from_db()
    assert dataset.state == "ready"


def test_failed_data_may_be_tried_again(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    failed = make_dataset(owner, state="failed", modality="", error="No label column was found.", tries=2)
    page = owner_client.get(f"/data/{failed.id}").content.decode()
    assert 'name="target"' in page
    owner_client.post(f"/data/{failed.id}/choices", {"target": "species"})
    failed.refresh_from_db()
    assert (failed.state, failed.options, failed.tries) == ("queued", {"target": "species"}, 0)


@pytest.fixture
def asking(owner: User, make_dataset: MakeDataset) -> Dataset:
    question = {"column": "age", "distinct": 62, "low": "1", "high": "116", "others": ["sex", "race"]}
    return make_dataset(owner, state="failed", modality="", error="The label column 'age' ...", question=question)


def test_a_label_of_many_numbers_is_asked_for(
    asking: Dataset, owner_client: Client, stranger_client: Client, jobs: list[Any]
) -> None:
    page = owner_client.get(f"/data/{asking.id}").content.decode()
    assert "“age” holds 62 different numbers (1 to 116)" in page
    assert "could not be read" not in page
    for choice in ('value="median" selected', 'value="quantiles"', 'name="limits"', '<option value="race">'):
        assert choice in page
    owner_client.post(f"/data/{asking.id}/choices", {"target": "age", "label_cuts": "own", "limits": "18,65"})
    asking.refresh_from_db()
    assert (asking.state, asking.options, asking.question) == ("queued", {"target": "age", "label_cuts": "18,65"}, {})


@pytest.mark.parametrize(
    ("posted", "options"),
    [
        ({"target": "age", "label_cuts": "median"}, {"target": "age", "label_cuts": "median"}),
        ({"target": "sex", "label_cuts": ""}, {"target": "sex"}),
    ],
)
def test_answers(asking: Dataset, owner_client: Client, jobs: list[Any], posted: dict, options: dict) -> None:
    owner_client.post(f"/data/{asking.id}/choices", posted)
    asking.refresh_from_db()
    assert asking.options == options


def test_own_limits_are_needed(asking: Dataset, owner_client: Client, jobs: list[Any]) -> None:
    response = owner_client.post(f"/data/{asking.id}/choices", {"target": "age", "label_cuts": "own"}, follow=True)
    assert "Give the limits between the classes" in response.content.decode()
    asking.refresh_from_db()
    assert asking.state == "failed"


def test_cuts_in_use_can_be_changed(dataset: Dataset, owner_client: Client) -> None:
    assert 'name="label_cuts"' not in owner_client.get(f"/data/{dataset.id}").content.decode()
    Dataset.objects.update(options={"label_cuts": "18,65"})
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    assert 'value="own" selected' in page
    assert 'value="18,65"' in page


def test_rename_and_publish(dataset: Dataset, owner_client: Client) -> None:
    owner_client.post(f"/data/{dataset.id}/rename", {"name": "<b>Digits</b>"})
    owner_client.post(f"/data/{dataset.id}/rename", {"name": ""})
    owner_client.post(f"/data/{dataset.id}/publish", {"public": "yes"})
    dataset.refresh_from_db()
    assert (dataset.name, dataset.public) == ("<b>Digits</b>", True)
    assert "&lt;b&gt;Digits" in owner_client.get(f"/data/{dataset.id}").content.decode()
    owner_client.post(f"/data/{dataset.id}/publish", {"public": "no"})
    dataset.refresh_from_db()
    assert not dataset.public


def test_delete_frees_the_bytes_that_it_showed(
    dataset: Dataset, owner: User, make_run: MakeRun, owner_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    run = make_run(dataset)
    before = storage.storage_of(owner).used_bytes
    frees = storage.frees_bytes(dataset)
    assert frees > storage.directory_bytes(run.dir) > 0
    assert "This frees" in owner_client.get(f"/data/{dataset.id}/delete").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        response = owner_client.post(f"/data/{dataset.id}/delete", follow=True)
    assert "that freed" in response.content.decode()
    assert not dataset.dir.exists()
    assert not run.dir.exists()
    assert not Run.objects.exists()
    assert storage.storage_of(owner).used_bytes == 0 < before


def test_delete_waits_for_open_runs(dataset: Dataset, make_run: MakeRun, owner_client: Client) -> None:
    run = make_run(dataset, state="running")
    response = owner_client.post(f"/data/{dataset.id}/delete")
    assert response.status_code == 409
    assert f"run {run.number}" in response.content.decode()
    assert Dataset.objects.filter(id=dataset.id).exists()


def test_administrators_find_data_sets(dataset: Dataset, admin_client: Client) -> None:
    assert dataset.name in admin_client.get("/admin/datasets/dataset/").content.decode()
    admin_client.post(f"/admin/datasets/dataset/{dataset.id}/change/", {"name": "renamed", "public": "on"})
    dataset.refresh_from_db()
    assert (dataset.name, dataset.public, dataset.state) == ("renamed", True, "ready")


def test_runs_of_others_do_not_keep_my_data_alive(
    dataset: Dataset, make_run: MakeRun, owner_client: Client, stranger: User
) -> None:
    make_run(dataset, state="running", owner=stranger)
    assert owner_client.post(f"/data/{dataset.id}/delete").status_code == 302
    assert not Dataset.objects.filter(id=dataset.id).exists()


def test_deleting_a_user_deletes_the_files(
    dataset: Dataset, owner: User, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        owner.delete()
    assert not dataset.dir.exists()


def test_sparklines_leave_gaps_out() -> None:
    assert report.sparklines([[0, 1, None, 3]]) == ["0.0,40.0 33.3,26.7 100.0,0.0"]
    assert report.sparklines([[2.0, 2.0]]) == ["0.0,40.0 100.0,40.0"]
    assert report.sparklines([[None]]) == []


def test_bars_of_many_classes_are_relative_to_the_largest() -> None:
    bars = report.class_bars({"labels": [{"name": "a", "train": 6, "test": 2}, {"name": "b", "train": 2, "test": 0}]})
    assert [(bar["train_percent"], bar["test_percent"]) for bar in bars] == [(75.0, 25.0), (25.0, 0.0)]
    assert report.class_bars({"labels": []}) == []


def test_a_data_set_of_several_is_chosen_on_its_page(
    owner: User, owner_client: Client, make_dataset: MakeDataset
) -> None:
    question = {"data_sets": ["a/one", "two"]}
    dataset = make_dataset(owner, state="failed", modality="", error="The upload holds 2 ...", question=question)
    html = owner_client.get(dataset.get_absolute_url()).content.decode()
    assert "Which data set?" in html
    assert '<option value="a/one"' in html
    owner_client.post(f"/data/{dataset.id}/choices", {"data_set": "two", "target": ""})
    dataset.refresh_from_db()
    assert (dataset.state, dataset.options, dataset.question) == ("queued", {"data_set": "two"}, {})


def test_a_picture_in_full_size(dataset: Dataset, owner_client: Client, stranger_client: Client) -> None:
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    assert f'data-picture="/data/{dataset.id}/sample/test/1"' in page
    for split, index in (("test", 0), ("test", 5), ("train", 11)):
        response = owner_client.get(f"/data/{dataset.id}/sample/{split}/{index}")
        assert (response["Content-Type"], response["X-Content-Type-Options"]) == ("image/png", "nosniff")
        assert response.content.startswith(b"\x89PNG")
        assert response.content.endswith(b"IEND\xaeB`\x82")
    for wrong in ("test/6", "test/99999", "raw/0", "test/-1"):
        assert owner_client.get(f"/data/{dataset.id}/sample/{wrong}").status_code == 404
    assert stranger_client.get(f"/data/{dataset.id}/sample/test/0").status_code == 404


def test_rows_are_no_pictures(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    dataset = make_dataset(owner, "tabular")
    assert owner_client.get(f"/data/{dataset.id}/sample/test/0").status_code == 404


def test_all_samples_are_listed_and_it_is_said_where_they_are_not(dataset: Dataset, owner_client: Client) -> None:
    path = dataset.autodl_dir / "previews" / "test.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines[2:]:
        del line["file"]  # not made in advance
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    assert "6 samples<" in page
    assert f'src="/data/{dataset.id}/preview/test-1.png"' in page
    assert f'src="/data/{dataset.id}/sample/test/5"' in page
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:4]))
    assert "4 of 6 samples are listed" in owner_client.get(f"/data/{dataset.id}").content.decode()
    dark = owner_client.get(f"/data/{dataset.id}?label=dark").content.decode()
    assert "2 of 3 samples are listed" in dark
    assert "light/test1.png" not in dark


def test_long_decimals_are_cut(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    dataset = make_dataset(owner, "tabular")
    path = dataset.autodl_dir / "previews" / "test.jsonl"
    row = {
        "a": 0.30000001192,
        "b": "12.3456789",
        "c": 2020.0,
        "d": "1.50",
        "e": "00012",
        "f": 0,
        "g": "-0.000012345678",
    }
    line = {"index": 0, "source": "row 1", "labels": ["dark"], "kind": "row", "row": row}
    path.write_text(json.dumps(line) + "\n")
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    for shown in ("0.3", "12.346", "2020", "1.50", "00012", "0", "-0.000012346"):
        assert f"<td>{shown}</td>" in page


def test_a_code_opens_the_upload_form_on_a_phone(owner: User, client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["photos.example.org", "localhost"]
    page = client.get("/", headers={"host": "photos.example.org"}).content.decode()
    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert picture
    path = re.search(r' d="([^"]+)"', base64.b64decode(picture[1]).decode())
    assert path
    image = np.full((500, 500), 255, np.uint8)
    for x, y in re.findall(r"M(\d+),(\d+)", path[1]):  # a square of one module
        image[10 * int(y) : 10 * int(y) + 10, 10 * int(x) : 10 * int(x) + 10] = 0
    assert cv2.QRCodeDetector().detectAndDecode(image)[0] == "http://photos.example.org/"
    assert "image/svg+xml;base64" not in client.get("/", headers={"host": "localhost"}).content.decode()
