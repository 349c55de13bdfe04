"""Portfolio rows: from files to database to a run's own file, and the pages for administrators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client

from automl_engine.portfolio import load
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.portfolio import rows
from webapp.portfolio.models import MODALITIES, PortfolioRow, RowChange
from webapp.portfolio.record import wins
from webapp.runs.models import Run, ScorePoint

IMAGE = """
- {name: image-linear, model: image_linear, params: {size: 32}, origin: "first rung"}
- {name: image-resnet, model: image_resnet, params: {width: 10}, origin: "Liu et al. 2019", enabled: false}
"""


@pytest.fixture
def folder(tmp_path: Path, db: None) -> Path:
    (tmp_path / "image.yaml").write_text(IMAGE)
    return tmp_path


@pytest.fixture
def row(db: None) -> PortfolioRow:
    return PortfolioRow.objects.create(name="image-linear", modality="image", model="image_linear", params={"size": 32})


def test_synchronise_adds_rows_in_ladder_order(folder: Path) -> None:
    assert rows.synchronise(folder) == {"added": 2, "changed": 0, "retired": 0}
    assert rows.synchronise(folder) == {"added": 0, "changed": 0, "retired": 0}
    found = list(PortfolioRow.objects.values_list("name", "modality", "position", "enabled", "params"))
    assert found == [
        ("image-linear", "image", 0, True, {"size": 32}),
        ("image-resnet", "image", 1, False, {"width": 10}),
    ]


def test_synchronise_updates_but_keeps_edits_and_switches(folder: Path) -> None:
    rows.synchronise(folder)
    PortfolioRow.objects.filter(name="image-linear").update(enabled=False)
    PortfolioRow.objects.filter(name="image-resnet").update(edited=True, params={"width": 99})
    (folder / "image.yaml").write_text(IMAGE.replace("size: 32", "size: 64").replace("width: 10", "width: 20"))
    assert rows.synchronise(folder) == {"added": 0, "changed": 1, "retired": 0}
    linear, resnet = PortfolioRow.objects.order_by("name")
    assert (linear.params, linear.enabled, linear.version) == ({"size": 64}, False, 2)
    assert resnet.params == {"width": 99}


def test_rows_gone_from_the_files_are_switched_off(folder: Path, row: PortfolioRow) -> None:
    PortfolioRow.objects.create(name="own", modality="image", model="image_linear")
    PortfolioRow.objects.create(name="gone", modality="image", model="image_linear", shipped=True)
    assert rows.synchronise(folder)["retired"] == 1
    enabled = set(PortfolioRow.objects.filter(enabled=True).values_list("name", flat=True))
    assert enabled == {"image-linear", "own"}


def test_the_shipped_files_are_well_formed(db: None) -> None:
    call_command("sync_portfolio", verbosity=0)
    shipped = rows.shipped_rows()
    assert len({row["name"] for row in shipped}) == len(shipped)
    for row in shipped:
        assert isinstance(row["params"], dict)
        assert PortfolioRow.objects.get(name=row["name"]).modality in MODALITIES


def test_write_enabled(folder: Path, tmp_path: Path) -> None:
    rows.synchronise(folder)
    rows.write_enabled(tmp_path / "out.yaml")
    (only,) = yaml.safe_load((tmp_path / "out.yaml").read_text())
    assert only["name"] == "image-linear"
    assert only["params"] == {"size": 32}
    (read,) = load(tmp_path / "out.yaml")  # the engine takes it
    assert (read.name, read.params, read.origin) == ("image-linear", {"size": 32}, "first rung")


URLS = ["/portfolio", "/portfolio/add", "/portfolio/import"]
OF_ROW = ["", "/switch", "/evaluate", "/restore", "/progress"]


@pytest.mark.parametrize("url", [*URLS, *(f"/portfolio/row/image-linear{end}" for end in ("", "/progress"))])
def test_pages_are_for_administrators(
    row: PortfolioRow, url: str, admin_client: Client, owner_client: Client, client: Client
) -> None:
    assert [someone.get(url).status_code for someone in (admin_client, owner_client, client)] == [200, 404, 404]


@pytest.mark.parametrize("url", [*URLS, *(f"/portfolio/row/image-linear{end}" for end in OF_ROW)])
def test_changes_are_for_administrators(row: PortfolioRow, url: str, owner_client: Client, client: Client) -> None:
    for someone in (owner_client, client):
        assert someone.post(url, {"name": "x", "enabled": "no"}).status_code == 404
    row.refresh_from_db()
    assert row.enabled


def test_switch(row: PortfolioRow, admin_client: Client) -> None:
    admin_client.post("/portfolio/row/image-linear/switch", {"enabled": "no"})
    row.refresh_from_db()
    assert (row.enabled, row.version) == (False, 1)
    page = admin_client.get("/portfolio").content.decode()
    assert 'aria-checked="false"' in page


FORM = {"name": "image-linear", "modality": "image", "model": "image_linear", "position": "0", "enabled": "on"}


def test_edit_makes_a_new_version(row: PortfolioRow, admin_client: Client) -> None:
    admin_client.post("/portfolio/row/image-linear", FORM | {"name": "other", "params_text": '{"size": 64}'})
    row.refresh_from_db()
    assert (row.name, row.params, row.version, row.edited) == ("image-linear", {"size": 64}, 2, True)


def test_add(admin_client: Client) -> None:
    admin_client.post("/portfolio/add", FORM | {"name": "image-mine", "params_text": "size: 16\nlevels: 0"})
    mine = PortfolioRow.objects.get(name="image-mine")
    assert (mine.params, mine.version, mine.shipped) == ({"size": 16, "levels": 0}, 1, False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("size: [1", "neither YAML nor JSON"),
        ("- 1\n- 2", "names with values"),
        ("!!python/object/apply:os.system ['true']", "neither YAML nor JSON"),
        ("1: 2", "names with values"),
        ("since: 2020-01-01", "Values must be numbers"),
        ("lr: .nan", "Values must be numbers"),
    ],
)
def test_bad_parameters(row: PortfolioRow, admin_client: Client, text: str, sentence: str) -> None:
    response = admin_client.post("/portfolio/row/image-linear", FORM | {"params_text": text})
    assert sentence in response.content.decode()
    row.refresh_from_db()
    assert row.version == 1


def test_unknown_model(admin_client: Client) -> None:
    response = admin_client.post("/portfolio/add", FORM | {"model": "os"})
    assert response.status_code == 200
    assert not PortfolioRow.objects.exists()


def test_the_row_page_lists_the_runs_that_it_won(
    row: PortfolioRow,
    owner: User,
    make_dataset: Callable[..., Dataset],
    make_run: Callable[..., Run],
    admin_client: Client,
) -> None:
    dataset = make_dataset(owner)
    won = make_run(dataset, alc=0.9)
    ScorePoint.objects.filter(run=won, k=2).update(by="image-linear + image-resnet")
    longer = make_run(dataset)
    ScorePoint.objects.filter(run=longer, k=2).update(by="image-linear-2")
    make_run(dataset, alc=0.5, model="image-linear")  # its best prediction is by "toy"
    assert list(wins("image-linear")) == list(wins("image-resnet")) == [won]
    assert won.get_absolute_url() in admin_client.get("/portfolio/row/image-linear").content.decode()


def test_changes_are_kept_and_can_be_restored(
    row: PortfolioRow, admin_client: Client, administrator: User, stranger_client: Client
) -> None:
    url = "/portfolio/row/image-linear"
    admin_client.post(url, FORM | {"params_text": "size: 64"})
    admin_client.post(url, FORM | {"params_text": "size: 64", "origin": "a paper"})
    admin_client.post(f"{url}/switch", {"enabled": "no"})
    told = [(change.what, change.version, change.by) for change in RowChange.objects.order_by("pk")]
    assert told == [
        ("size 32 → 64", 2, administrator),
        ("origin rewritten", 2, administrator),  # it learns as before, so its scores stay good
        ("switched off", 2, administrator),
    ]
    admin_client.post(url, FORM | {"params_text": "side: 8", "model": "image_patches"})
    change = RowChange.objects.get(what="origin rewritten")
    assert stranger_client.post(f"{url}/restore", {"change": change.pk}).status_code == 404
    page = admin_client.get(url).content.decode()
    assert f'name="change" value="{change.pk}"' in page
    admin_client.post(f"{url}/restore", {"change": change.pk})
    row.refresh_from_db()
    assert (row.model, row.params, row.origin, row.version, row.enabled) == (
        "image_linear",
        {"size": 64},
        "a paper",
        4,
        False,
    )
    newest = RowChange.objects.first()
    assert newest
    assert newest.what.startswith("restored as of 20")
    assert RowChange.objects.count() == 5


@pytest.mark.parametrize("change", ["", "999", "x", "9" * 30])
def test_restoring_what_never_was(row: PortfolioRow, admin_client: Client, change: str) -> None:
    assert admin_client.post("/portfolio/row/image-linear/restore", {"change": change}).status_code == 404


def test_what_the_files_change_is_kept_too(folder: Path) -> None:
    rows.synchronise(folder)
    (folder / "image.yaml").write_text(IMAGE.replace("size: 32", "size: 64"))
    rows.synchronise(folder)
    (folder / "image.yaml").write_text("[]")
    rows.synchronise(folder)
    linear = PortfolioRow.objects.get(name="image-linear")
    assert [(change.what, change.by) for change in linear.changes.all()] == [
        ("no longer shipped: switched off", None),
        ("updated: size 32 → 64", None),
        ("added", None),
    ]


UNKNOWN = "The model image_linear does not know the parameter sizes; use grid, head, l2, levels, size."


def test_unknown_parameters_are_refused_with_the_known_ones(admin_client: Client, folder: Path) -> None:
    values = {"name": "mine", "modality": "image", "model": "image_linear", "position": 0, "params_text": "sizes: 3"}
    assert UNKNOWN in admin_client.post("/portfolio/add", values).content.decode()
    text = "{name: mine, modality: image, model: image_linear, params: {sizes: 3}}"
    file = SimpleUploadedFile("row.yaml", text.encode())
    page = admin_client.post("/portfolio/import", {"kind": "row", "row-file": file}).content.decode()
    assert UNKNOWN in page
    assert not PortfolioRow.objects.exists()


def test_a_stored_row_with_an_unknown_parameter_is_marked_and_left_out(
    admin_client: Client, row: PortfolioRow, tmp_path: Path
) -> None:
    """Stored before a parameter was renamed: the runs of everybody else go on."""
    PortfolioRow.objects.create(name="old", modality="image", model="image_linear", params={"sizes": 3})
    PortfolioRow.objects.create(name="older", modality="image", model="gone")
    rows.write_enabled(tmp_path / "out.yaml")
    assert [each.name for each in load(tmp_path / "out.yaml")] == ["image-linear"]
    page = admin_client.get("/portfolio").content.decode()
    assert UNKNOWN in page
    assert "This version of the engine has no model “gone”" in page


def test_what_cannot_run_here_is_not_promised(
    owner_client: Client,
    owner: User,
    make_dataset: Callable[..., Dataset],
    row: PortfolioRow,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    params = {"network": "mobilenet_v2"}
    PortfolioRow.objects.create(name="photos", modality="image", model="image_pretrained", params=params)
    dataset = make_dataset(owner)
    page = owner_client.get(f"/data/{dataset.pk}").content.decode()
    assert "image-linear" in page
    assert "photos" not in page
    owner_client.post(f"/data/{dataset.pk}/learn", {"budget_s": 60, "model": "photos"})
    assert not Run.objects.exists()
    (tmp_path / "mobilenet_v2_imagenet.safetensors").touch()
    assert "photos" in owner_client.get(f"/data/{dataset.pk}").content.decode()


def test_a_model_of_another_kind_of_data_is_in_no_run(row: PortfolioRow, tmp_path: Path) -> None:
    """One that an earlier version let in: its run could not be packed."""
    PortfolioRow.objects.create(name="lost", modality="text", model="image_resnet")
    rows.write_enabled(tmp_path / "portfolio.yaml")
    assert [found.name for found in load(tmp_path / "portfolio.yaml")] == ["image-linear"]
    assert rows.wrong_kind("series_quant", "timeseries") == rows.wrong_kind("challenge", "text") == ""
