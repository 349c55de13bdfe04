"""Fix in place: a change makes a new version; its parent, its runs and its files stay; undo goes back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from webapp import engine
from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.datasets import storage, versions, views
from webapp.datasets.models import Dataset, Upload
from webapp.datasets.templatetags.datasets import quantity
from webapp.runs.models import Run

MakeDataset = Callable[..., Dataset]
MakeRun = Callable[..., Run]
DARK = ["dark/test0.png", "dark/test2.png"]


@pytest.fixture
def dataset(owner: User, make_dataset: MakeDataset) -> Dataset:
    return make_dataset(owner, options={"seed": 7})


def report_with(dataset: Dataset, **fields: Any) -> None:
    path = dataset.autodl_dir / "report.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def newest() -> Dataset:
    found = Dataset.objects.order_by("-version").first()
    assert found
    return found


def settle(version: Dataset) -> Dataset:
    """As after its conversion."""
    version.autodl_dir.mkdir(parents=True, exist_ok=True)
    (version.autodl_dir / "report.json").write_text((version.parent.autodl_dir / "report.json").read_text())
    version.state = Dataset.State.READY
    version.modality = "image"
    version.save()
    storage.measure_versions(version)
    version.refresh_from_db()
    return version


def test_excluded_samples_make_a_new_version(dataset: Dataset, owner_client: Client, jobs: list[Any]) -> None:
    answer = owner_client.post(f"/data/{dataset.id}/fix", {"item": DARK, "action": "exclude"})
    version = newest()
    assert answer["Location"] == f"/data/{version.id}"
    assert (version.version, version.parent, version.change) == (2, dataset, "2 samples excluded")
    assert version.options["edits"] == [{"do": "exclude", "items": DARK}]
    assert (version.options["modality"], version.options["seed"]) == ("image", 0)
    assert version.state == "queued"
    assert version.raw_path.stat().st_ino == dataset.raw_path.stat().st_ino
    assert jobs[-1][0] == "convert"
    dataset.refresh_from_db()
    assert (dataset.state, dataset.version) == ("ready", 1)


@pytest.mark.parametrize(
    ("posted", "to"),
    [({"to": "light"}, ["light"]), ({"to": "light", "new": " grey "}, ["grey"]), ({"to": ""}, None), ({}, None)],
)
def test_relabelled(dataset: Dataset, owner_client: Client, posted: dict[str, str], to: list[str] | None) -> None:
    answer = owner_client.post(f"/data/{dataset.id}/fix", {"item": DARK, "action": "relabel"} | posted, follow=True)
    if to is None:
        assert "Choose the class" in answer.content.decode()
        assert Dataset.objects.count() == 1
    else:
        assert newest().options["edits"] == [{"do": "relabel", "items": DARK, "to": to}]


def test_several_labels_at_once(dataset: Dataset, owner_client: Client) -> None:
    report_with(dataset, task="multi_label")
    assert "multiple" in owner_client.get(f"/data/{dataset.id}").content.decode()
    owner_client.post(f"/data/{dataset.id}/fix", {"item": DARK[0], "action": "relabel", "to": ["dark", "light"]})
    assert newest().options["edits"][0]["to"] == ["dark", "light"]


def test_nothing_chosen_changes_nothing(dataset: Dataset, owner_client: Client) -> None:
    answer = owner_client.post(f"/data/{dataset.id}/fix", {"action": "exclude"}, follow=True)
    assert "Select at least one sample" in answer.content.decode()
    assert Dataset.objects.count() == 1


def test_edits_add_up(dataset: Dataset, owner_client: Client) -> None:
    owner_client.post(f"/data/{dataset.id}/fix", {"item": DARK[0], "action": "exclude"})
    second = settle(newest())
    owner_client.post(f"/data/{second.id}/fix", {"item": DARK[1], "action": "relabel", "to": "light"})
    assert [edit["do"] for edit in newest().options["edits"]] == ["exclude", "relabel"]
    assert newest().version == 3
    owner_client.post(f"/data/{second.id}/choices", {"seed": "3"})
    second.refresh_from_db()
    assert second.options["edits"] == [{"do": "exclude", "items": [DARK[0]]}]


def test_classes_are_merged_and_left_out(dataset: Dataset, owner_client: Client) -> None:
    both = ["dark", "light", "unknown"]
    owner_client.post(f"/data/{dataset.id}/fix/classes", {"class": both, "action": "merge", "into": "any"})
    assert newest().options["edits"] == [{"do": "merge", "classes": ["dark", "light"], "to": ["any"]}]
    owner_client.post(f"/data/{dataset.id}/fix/classes", {"class": "dark", "action": "drop"})
    assert newest().options["edits"] == [{"do": "drop", "classes": ["dark"]}]
    answer = owner_client.post(f"/data/{dataset.id}/fix/classes", {"class": "dark", "action": "merge"}, follow=True)
    assert "Select at least two classes" in answer.content.decode()


@pytest.mark.parametrize(
    ("posted", "edit"),
    [
        ({"action": "missing", "values": "-9, -99"}, {"do": "missing", "columns": ["weight"], "values": ["-9", "-99"]}),
        ({"action": "split", "values": "3"}, {"do": "split", "columns": ["weight"], "values": ["3"]}),
        ({"action": "group"}, {"do": "group", "columns": ["weight"]}),
        ({"action": "ignore"}, {"do": "ignore", "columns": ["weight"]}),
    ],
)
def test_columns(
    owner: User, make_dataset: MakeDataset, owner_client: Client, posted: dict[str, str], edit: dict[str, Any]
) -> None:
    table = make_dataset(owner, "tabular")
    assert "Change a column" in owner_client.get(f"/data/{table.id}").content.decode()
    owner_client.post(f"/data/{table.id}/fix/column", {"column": "weight"} | posted)
    assert newest().options["edits"] == [edit]


def test_a_column_that_is_not_there(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    table = make_dataset(owner, "tabular")
    for posted, told in (
        ({"column": "x", "action": "group"}, "Choose a column"),
        ({"column": "weight", "action": "missing"}, "Type the values"),
    ):
        assert told in owner_client.post(f"/data/{table.id}/fix/column", posted, follow=True).content.decode()
    assert owner_client.post(f"/data/{table.id}/fix/column", {"column": "weight"}).status_code == 404
    assert Dataset.objects.count() == 1


def test_a_finding_has_its_fix_as_a_button(dataset: Dataset, owner_client: Client, stranger_client: Client) -> None:
    fix = {
        "title": "Read as table",
        "changes": "It is read as a table.",
        "edits": [],
        "options": {"modality": "tabular"},
    }
    doubts = [
        {"level": "info", "what": "small", "where": "", "fix": "", "fixes": []},
        {"level": "warning", "what": "odd", "where": "", "fix": "", "fixes": [fix]},
    ]
    report_with(dataset, doubts=doubts)
    Dataset.objects.update(public=True)
    assert "Read as table" in owner_client.get(f"/data/{dataset.id}").content.decode()
    assert "Read as table" not in stranger_client.get(f"/data/{dataset.id}").content.decode()
    assert owner_client.post(f"/data/{dataset.id}/fix/0/1").status_code == 404
    assert owner_client.post(f"/data/{dataset.id}/fix/9/0").status_code == 404
    assert stranger_client.post(f"/data/{dataset.id}/fix/0/0").status_code == 404
    owner_client.post(f"/data/{dataset.id}/fix/0/0")  # the worst comes first
    assert (newest().options["modality"], newest().change) == ("tabular", "Read as table")


def test_undo(
    dataset: Dataset, owner_client: Client, make_run: MakeRun, django_capture_on_commit_callbacks: Any
) -> None:
    version = settle(versions.edit(dataset, "1 sample excluded", [{"do": "exclude", "items": DARK[:1]}]))
    folder = version.dir
    page = owner_client.get(f"/data/{version.id}").content.decode()
    assert "1 sample excluded" in page
    assert f"/data/{version.id}/undo" in page
    assert owner_client.post(f"/data/{dataset.id}/undo").status_code == 404
    with django_capture_on_commit_callbacks(execute=True):
        answer = owner_client.post(f"/data/{version.id}/undo", follow=True)
    assert answer.request["PATH_INFO"] == f"/data/{dataset.id}"
    assert "Version 2 is undone" in answer.content.decode()
    assert not folder.exists()
    assert dataset.raw_path.exists()

    learned = settle(versions.edit(dataset, "again", []))
    make_run(learned)
    assert "is kept with its runs" in owner_client.post(f"/data/{learned.id}/undo", follow=True).content.decode()
    assert Run.objects.get().dataset == learned


def test_the_upload_counts_once_and_stays_while_a_version_needs_it(
    dataset: Dataset, owner: User, owner_client: Client, django_capture_on_commit_callbacks: Any
) -> None:
    dataset.raw_path.write_bytes(b"x" * 100_000)
    storage.measure_versions(dataset)
    before = storage.storage_of(owner).used_bytes
    second = settle(versions.edit(dataset, "second", []))
    third = settle(versions.edit(second, "third", []))
    assert before + second.size_bytes + third.size_bytes == storage.storage_of(owner).used_bytes < before + 100_000
    assert storage.frees_bytes(dataset) < before - 100_000 + 1
    assert "other versions and the upload stay" in owner_client.get(f"/data/{dataset.id}/delete").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        storage.delete_dataset(second)
    third.refresh_from_db()
    assert third.parent == dataset
    with django_capture_on_commit_callbacks(execute=True):
        freed = storage.delete_dataset(Dataset.objects.get(pk=dataset.pk))
    assert freed < 100_000
    third.refresh_from_db()
    assert third.parent is None
    assert third.raw_path.read_bytes() == b"x" * 100_000
    assert third.size_bytes > 100_000
    assert list(third.versions()) == [third]
    with django_capture_on_commit_callbacks(execute=True):
        assert storage.delete_dataset(third) > 100_000
    assert storage.storage_of(owner).used_bytes == 0


def test_no_version_without_room(dataset: Dataset, owner: User, owner_client: Client, media: Path) -> None:
    User.objects.filter(pk=owner.pk).update(storage_max_bytes=1)
    answer = owner_client.post(f"/data/{dataset.id}/fix", {"item": DARK, "action": "exclude"}, follow=True)
    assert "delete data sets or versions first" in answer.content.decode()
    assert [path.name for path in (media / "datasets").iterdir()] == [dataset.id]


def test_learn_again(dataset: Dataset, owner_client: Client, stranger_client: Client, make_run: MakeRun) -> None:
    run = make_run(dataset, budget_s=300, seed=5)
    version = settle(versions.edit(dataset, "1 sample excluded", [{"do": "exclude", "items": DARK[:1]}]))
    page = owner_client.get(f"/data/{version.id}").content.decode()
    assert "Learn again" in page
    assert 'name="budget_s" value="300"' in page
    assert "Learn again" not in owner_client.get(f"/data/{dataset.id}").content.decode()
    settings = {"budget_s": "300", "model": "auto", "seed": "5", "teaches": "0"}
    owner_client.post(f"/data/{version.id}/learn", settings)
    again = Run.objects.exclude(pk=run.pk).get()
    assert (again.dataset, again.budget_s, again.seed) == (version, 300, 5)
    assert "Learn again" not in owner_client.get(f"/data/{version.id}").content.decode()
    assert "version 2" in owner_client.get(again.get_absolute_url()).content.decode()
    Dataset.objects.update(public=True)
    assert "Learn again" not in stranger_client.get(f"/data/{version.id}").content.decode()


def test_samples_are_chosen_on_the_data_page_and_in_the_galleries_of_a_run(
    dataset: Dataset, owner_client: Client, stranger_client: Client, make_run: MakeRun
) -> None:
    run = make_run(dataset)
    (run.dir / "toy.predict_2").write_text("0.1 0.9\n" * 6)
    Run.objects.update(public=True)
    Dataset.objects.update(public=True)
    cell = f"/runs/{run.pk}/samples?true=dark&predicted=light"
    for page, source in ((f"/data/{dataset.id}", DARK[0]), (cell, DARK[0]), (f"/runs/{run.pk}", "light/test1.png")):
        own, other = (client.get(page).content.decode() for client in (owner_client, stranger_client))
        assert f'name="item" value="{source}" form="fix"' in own
        assert 'id="fix"' in own
        assert 'name="item"' not in other
        assert 'id="fix"' not in other


def test_raw_samples_that_are_no_upload_cannot_be_edited(dataset: Dataset, owner_client: Client) -> None:
    report_with(dataset, editable=False)
    assert 'name="item"' not in owner_client.get(f"/data/{dataset.id}").content.decode()


def test_versions_are_listed(
    dataset: Dataset, owner_client: Client, django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Best accuracy" not in owner_client.get(f"/data/{dataset.id}").content.decode()
    last = dataset
    for number in range(8):
        last = settle(versions.edit(last, f"change {number}", []))
    with django_assert_max_num_queries(16):
        page = owner_client.get(f"/data/{last.id}").content.decode()
    assert all(f"Change {number}" in page for number in range(8))
    assert "Older versions" not in page
    monkeypatch.setattr(views, "VERSIONS", 3)
    page, every = (owner_client.get(f"/data/{last.id}{query}").content.decode() for query in ("", "?versions=all"))
    assert "Older versions" in page
    assert "Change 5" in page
    assert "Change 4" not in page
    assert "Change 0" in every
    assert "Older versions" not in every
    assert "version 9" in owner_client.get("/data/").content.decode()
    owner_client.post(f"/data/{last.id}/rename", {"name": "renamed"})
    assert set(Dataset.objects.values_list("name", flat=True)) == {"renamed"}


def test_the_formatter_applies_the_edits(owner: User, make_dataset: MakeDataset) -> None:
    dataset = make_dataset(owner, state="queued", modality="", raw_name="data.csv")
    lines = ["size,kind", *(f"{i % 13},{'ab'[i % 2]}" for i in range(60))]
    dataset.raw_path.write_text("\n".join(lines))
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    version = versions.edit(dataset, "2 samples excluded", [{"do": "exclude", "items": ["row 1", "row 2"]}])
    conversion.convert(version.id)
    version.refresh_from_db()
    assert (dataset.sample_count, version.state, version.sample_count) == (60, "ready", 58)
    wrong = versions.edit(version, "wrong", [{"do": "exclude", "items": ["row 99"]}])
    conversion.convert(wrong.id)
    wrong.refresh_from_db()
    assert (wrong.state, engine.read_json(wrong.autodl_dir / "report.json")) == ("failed", None)
    assert "'row 99'" in wrong.error


def send_more(client: Client, dataset_id: str, name: str, data: bytes) -> Any:
    about = {"filename": name, "continues": dataset_id}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in about.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Upload-Metadata": metadata}
    return client.post("/uploads/", data, content_type="application/offset+octet-stream", headers=headers)


def test_more_data_makes_a_version_with_both(
    dataset: Dataset, owner_client: Client, stranger_client: Client, jobs: list[Any], owner: User
) -> None:
    assert "Add more data" in owner_client.get(f"/data/{dataset.id}").content.decode()
    Dataset.objects.update(public=True)
    assert send_more(stranger_client, dataset.id, "more.zip", b"more").status_code == 404
    assert not Upload.objects.exists()
    answer = send_more(owner_client, dataset.id, "more.zip", b"more")
    assert answer.status_code == 201
    version = newest()
    assert owner_client.get(answer["Location"])["Location"] == f"/data/{version.id}"
    assert owner_client.head(answer["Location"], headers={"Tus-Resumable": "1.0.0"})["Upload-Offset"] == "4"
    assert (version.version, version.parent, version.change, version.name) == (
        2,
        dataset,
        "more.zip added",
        dataset.name,
    )
    assert (version.options, version.state) == (dataset.options, "queued")
    assert version.raw_path.stat().st_ino == dataset.raw_path.stat().st_ino
    assert [path.read_bytes() for path in version.more_paths] == [b"more"]
    assert jobs[-1][2] == (version.id,)
    settle(version)
    assert 'name="continues"' in owner_client.get(f"/data/{version.id}/more").content.decode()
    posted = [{"file": SimpleUploadedFile("third.zip", b"third"), "continues": version.id} for _ in range(2)]
    assert stranger_client.post("/data/upload", posted[0]).status_code == 404
    owner_client.post("/data/upload", posted[1])
    assert [path.name for path in newest().more_paths] == ["more.zip", "third.zip"]
    assert newest().version == 3


def test_the_formatter_reads_both(owner: User, make_dataset: MakeDataset, owner_client: Client) -> None:
    dataset = make_dataset(owner, state="queued", modality="", raw_name="data.csv")
    dataset.raw_path.write_text("\n".join(["size,kind", *(f"{i % 13},{'ab'[i % 2]}" for i in range(60))]))
    conversion.convert(dataset.id)
    more = "\n".join(["size,kind", *(f"{i % 13 + 3},{'ab'[i % 2]}" for i in range(40))])
    send_more(owner_client, dataset.id, "more.csv", more.encode())
    version = newest()
    conversion.convert(version.id)
    version.refresh_from_db()
    assert (version.state, version.error, version.sample_count) == ("ready", "", 100)


def test_the_share_of_the_test_set_is_that_of_the_samples(owner: User, make_dataset: Any, owner_client: Client) -> None:
    """Fixes move samples from one side to the other, so it may differ from what was asked for."""
    dataset = make_dataset(owner)
    page = owner_client.get(f"/data/{dataset.id}").content.decode()
    assert "33 % of the samples are the test set" in page  # 6 of 18; 25 % were asked for


def test_quantities_have_their_unit() -> None:
    assert [quantity(1, "words"), quantity(1, "s"), quantity(2, "words")] == ["1 word", "1 s", "2 words"]
