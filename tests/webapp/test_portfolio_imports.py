"""Rows from files: code of a submission, weights of a network; what is hostile leaves nothing behind."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from safetensors.numpy import save

from automl_engine import __main__ as engine_main
from automl_engine.models.shared.residual import Stems
from automl_engine.models.shared.vision import torchvision
from automl_engine.models.timeseries.backbone import SeriesStages
from webapp import body_limit, engine
from webapp.portfolio import files, imports, networks, rows
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Run

URL = "/portfolio/import"
MODEL = "class Model:\n    def train(self, dataset, remaining_time_budget=None): ...\n    test = train\n"


def zipped(members: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def link() -> bytes:
    info = zipfile.ZipInfo("model.py")
    info.external_attr = 0o120777 << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return file.getvalue()


def send(client: Client, kind: str, file_name: str, content: bytes, **fields: str) -> Any:
    values = {"name": "foreign", "modality": "image", "origin": "somebody", "trusted": "on"} | fields
    prefixed = {f"{kind}-{key}": value for key, value in values.items()}
    file = SimpleUploadedFile(file_name, content)
    return client.post(URL, prefixed | {"kind": kind, f"{kind}-file": file})


def packed(shapes: networks.Shapes, **changes: tuple[int, ...] | None) -> bytes:
    """Zeros of these shapes; None leaves a tensor out."""
    return save({key: np.zeros(shape, np.float16) for key, shape in {**shapes, **changes}.items() if shape is not None})


def weights(**changes: tuple[int, ...] | None) -> bytes:
    """A small MobileNetV2 with its classifier."""
    return packed({**networks.mobilenet_v2(0.35), "classifier.1.bias": (1000,)}, **changes)


def backbone(width: int, channels: int, **changes: tuple[int, ...] | None) -> bytes:
    """What ``pretrain`` writes."""
    return packed(networks.backbone(width, channels), **changes)


def test_a_submission_becomes_a_row(admin_client: Client, tmp_path: Path) -> None:
    content = zipped({"team/model.py": MODEL, "team/data/helper.py": "x = 1", "__MACOSX/._model.py": "junk"})
    response = send(admin_client, "code", "team.zip", content)
    assert response["Location"] == "/portfolio/row/foreign"
    row = PortfolioRow.objects.get()
    assert (row.model, row.params, row.enabled, row.modality) == ("challenge", {"path": "foreign"}, False, "image")
    assert row.changes.get().what == "imported"
    held = sorted(str(path.relative_to(files.folder())) for path in files.folder().rglob("*"))
    assert held == ["foreign", "foreign/data", "foreign/data/helper.py", "foreign/model.py"]
    assert "Imported code runs on this server" in admin_client.get("/portfolio/row/foreign").content.decode()

    path = tmp_path / "portfolio.yaml"
    rows.write_enabled(path, Run(model="foreign"))
    name, params = engine_main.resolve("foreign", tmp_path / "toy.data", path)  # what the engine makes of it
    assert name == "challenge"
    assert params == {"path": str(files.folder() / "foreign"), "data_dir": str(tmp_path / "toy.data")}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (zipped({"../model.py": MODEL}), "leads out of its folder"),
        (zipped({"/etc/model.py": MODEL}), "absolute path"),
        (link(), "a link that leads out of it"),
        (zipped({"solution.py": MODEL}), "no model.py (but solution.py)"),
        (zipped({"a/model.py": MODEL, "b/model.py": MODEL}), "several model.py (in a, b)"),
        (zipped({"model.py": "x = 1"}), "must define the class Model"),
        (zipped({"model.py": "class Model(:"}), "not Python 3 code"),
        (zipped({"model.py": b"\0\0"}), "not Python 3 code"),
        (zipped({"more.zip": zipped({"a": "b"})}), "unpack more.zip and give its content"),
        (zipped({f"{i}.py": "" for i in range(12)}), "more than 10 files"),
        (zipped({"model.py": MODEL, "zeros": bytes(2**20)}), "unpacks to more than"),
        (b"PK\x03\x04 not really", "cannot be opened as zip"),
    ],
)
def test_what_is_no_submission_leaves_nothing(
    admin_client: Client, content: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_FILES", 10)
    monkeypatch.setattr(imports, "MAX_UNPACKED_BYTES", 2**20)
    page = send(admin_client, "code", "team.zip", content).content.decode()
    assert sentence in page
    assert not PortfolioRow.objects.exists()
    assert list(files.folder().iterdir()) == []


@pytest.mark.parametrize("fields", [{"trusted": ""}, {"name": "../up"}, {"name": ""}, {"modality": "smell"}])
def test_the_form_must_be_right(admin_client: Client, fields: dict[str, str]) -> None:
    assert send(admin_client, "code", "team.zip", zipped({"model.py": MODEL}), **fields).status_code == 200
    assert not PortfolioRow.objects.exists()


def test_a_taken_name_replaces_nothing(admin_client: Client) -> None:
    send(admin_client, "code", "team.zip", zipped({"model.py": MODEL}))
    page = send(admin_client, "code", "team.zip", zipped({"model.py": MODEL + "x = 2\n"})).content.decode()
    assert "already exists" in page
    assert (files.folder() / "foreign" / "model.py").read_text() == MODEL


def test_weights_become_a_row(admin_client: Client, tmp_path: Path) -> None:
    assert send(admin_client, "weights", "../net_imagenet.safetensors", weights()).status_code == 302
    row = PortfolioRow.objects.get()
    assert row.model == "image_pretrained"
    assert row.params == {"network": "mobilenet_v2_035", "weights": "foreign/net_imagenet.safetensors"}
    rows.write_enabled(tmp_path / "portfolio.yaml", Run(model="foreign"))
    (found,) = yaml.safe_load((tmp_path / "portfolio.yaml").read_text())
    assert Path(found["params"]["weights"]).read_bytes() == weights()


@pytest.mark.parametrize(("channels", "learner"), [(3, ("image", "image_resnet")), (1, ("audio", "audio_resnet"))])
def test_a_backbone_of_any_width_becomes_a_row(
    admin_client: Client, tmp_path: Path, channels: int, learner: tuple[str, str]
) -> None:
    PortfolioRow.objects.create(name="first", modality=learner[0], model="constant", position=7)
    assert send(admin_client, "weights", "resnet_mixed.safetensors", backbone(6, channels)).status_code == 302
    row = PortfolioRow.objects.get(name="foreign")
    assert (row.modality, row.model, row.enabled, row.position) == (*learner, False, 8)
    assert row.params == {"width": 6, "weights": "foreign/resnet_mixed.safetensors"}
    rows.write_enabled(tmp_path / "portfolio.yaml", Run(model="foreign"))
    found = yaml.safe_load((tmp_path / "portfolio.yaml").read_text())[-1]
    assert Path(found["params"]["weights"]).read_bytes() == backbone(6, channels)


@pytest.mark.parametrize(
    ("make", "expected", "learner"),
    [
        (lambda: Stems(3, 24), networks.backbone(24, 3), ("image", "image_resnet", {"width": 24})),
        (lambda: Stems(1, 16), networks.backbone(16, 1), ("audio", "audio_resnet", {"width": 16})),
        (SeriesStages, networks.series_backbone(), ("timeseries", "series_trunk", {})),
        *(
            (
                lambda width=width: torchvision().mobilenet_v2(weights=None, width_mult=width),
                networks.mobilenet_v2(width),
                ("image", "image_pretrained", {"network": name}),
            )
            for name, width in networks.MOBILENETS.values()
        ),
    ],
)
def test_the_networks_are_those_of_the_engine(make: Any, expected: networks.Shapes, learner: Any) -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in make().state_dict().items()}
    assert {key: shape for key, shape in shapes.items() if not key.startswith("classifier")} == expected
    assert networks.learner_of(shapes) == learner


def test_an_old_file_has_no_counters() -> None:
    shapes = {key: shape for key, shape in networks.mobilenet_v2(1.0).items() if not key.endswith(networks.COUNTER)}
    assert networks.learner_of(shapes)[1] == "image_pretrained"


def broken(header: dict[str, Any], size_bytes: int = 0) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size_bytes)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("net.pth", weights(), "not a safetensors file"),
        ("net.safetensors", b"\x80\x04pickle", "safetensors file is damaged"),
        ("net.safetensors", struct.pack("<Q", 2**60) + b"{}", "safetensors file is damaged"),
        ("net.safetensors", weights()[:-1], "safetensors file is damaged"),
        (
            "net.safetensors",
            broken({networks.LAST_LAYER: {"dtype": "F16", "shape": [1280, 112, 1, 1], "data_offsets": [0, 8]}}, 8),
            "safetensors file is damaged",
        ),
        ("net.safetensors", weights(**{networks.LAST_LAYER: (10, 10)}), "shape (10, 10)"),
        ("net.safetensors", save({"other": np.zeros(3)}), "The weights must be of mobilenet_v2"),
        ("net.safetensors", b"\0", "safetensors file is damaged"),
        ("net.safetensors", broken({str(i): {} for i in range(100_000)}), "its header has"),
        ("net.safetensors", backbone(6, 2), "shape (6, 2, 3, 3)"),
        ("net.safetensors", backbone(0, 3), "shape (0, 3, 3, 3)"),
        ("net.safetensors", backbone(6, 3, **{networks.STEM: ()}), "it must be (width, 3 or 1 channels, 3, 3)"),
        ("net.safetensors", backbone(6, 3, **{networks.STEM: (6, 3, 5, 5)}), "instead of (6, 3, 3, 3)"),
        ("net.safetensors", backbone(6, 3, **{"body.2.conv1.weight": None}), "has the shape “missing”"),
        ("net.safetensors", backbone(6, 3, **{"body.9.conv1.weight": (6, 6, 3, 3)}), "instead of “missing”"),
        (
            "net.safetensors",
            backbone(6, 3, **{"body.2.norm1.running_var": (5,), "body.4.bias": (1,)}),
            "“body.2.norm1.running_var” has the shape (5,) instead of (12,) (1 more of the tensors do not fit)",
        ),
        (
            "net.safetensors",
            weights(**{"features.7.conv.1.1.bias": (3,)}),
            "“features.7.conv.1.1.bias” has the shape (3,) instead of (96,).",
        ),
        ("net.safetensors", weights(**{"features.3.conv.2.weight": None}), "has the shape “missing”"),
    ],
)
def test_what_are_no_weights_leaves_nothing(admin_client: Client, name: str, content: bytes, sentence: str) -> None:
    page = send(admin_client, "weights", name, content).content.decode()
    assert sentence in page
    assert not PortfolioRow.objects.exists()
    assert list(files.folder().iterdir()) == []


def test_only_administrators_and_only_so_much(owner_client: Client, admin_client: Client, monkeypatch: Any) -> None:
    assert send(owner_client, "weights", "net.safetensors", weights()).status_code == 404
    monkeypatch.setattr(imports, "MAX_BYTES", 100)
    assert "at most 100" in send(admin_client, "weights", "net.safetensors", weights()).content.decode()
    assert not PortfolioRow.objects.exists()
    assert body_limit.limit_bytes(URL) == body_limit.IMPORT_MAX_BYTES + body_limit.MARGIN_BYTES


@pytest.mark.parametrize("path", ["../..", "/etc", "", ".", "foreign/../../secret", "foreign/../.."])
def test_a_row_never_names_what_is_not_its_own(admin_client: Client, path: str, tmp_path: Path) -> None:
    fields = {"name": "evil", "modality": "image", "position": "0"}
    for model, key in files.PARAMETER.items():
        params = json.dumps({key: path})
        page = admin_client.post("/portfolio/add", fields | {"model": model, "params_text": params}).content.decode()
        assert "must name what was imported here" in page
        PortfolioRow.objects.create(name="evil", modality="image", model=model, params={key: path})  # past the form
        rows.write_enabled(tmp_path / "portfolio.yaml")
        assert yaml.safe_load((tmp_path / "portfolio.yaml").read_text()) == []
        PortfolioRow.objects.all().delete()


def test_weights_may_be_known_by_name(admin_client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine finds them; the page of the row shows their card where they ship with it."""
    fields = {"name": "own", "modality": "image", "model": "image_resnet", "position": "0", "enabled": "on"}
    assert admin_client.post("/portfolio/add", fields | {"params_text": "weights: small_mixed"}).status_code == 302
    rows.write_enabled(tmp_path / "portfolio.yaml")
    (found,) = yaml.safe_load((tmp_path / "portfolio.yaml").read_text())
    assert found["params"] == {"weights": "small_mixed"}
    assert "begins with" not in admin_client.get("/portfolio/row/own").content.decode()
    monkeypatch.setattr(engine.weights, "FOLDER", tmp_path)
    (tmp_path / "small_mixed.json").write_text(json.dumps({"formula": "mixed: <512> fractals", "chars_nauc": 0.5}))
    page = admin_client.get("/portfolio/row/own").content.decode()
    assert "<dt>formula</dt><dd>mixed: &lt;512&gt; fractals</dd><dt>chars nauc</dt><dd>0.5</dd>" in page


def test_a_file_that_is_gone_is_told(admin_client: Client) -> None:
    fields = {"name": "x", "modality": "image", "model": "challenge", "position": "0", "params_text": "path: gone"}
    assert "is not there; import it first" in admin_client.post("/portfolio/add", fields).content.decode()


FOUND = {"name": "image_tuned", "modality": "image", "model": "image_resnet", "params": {"lr": 0.1}, "enabled": True}


def test_what_a_search_found_becomes_a_row(admin_client: Client) -> None:
    PortfolioRow.objects.create(name="first", modality="image", model="constant", position=7)
    text = yaml.safe_dump([FOUND | {"origin": "a search", "space": {"lr": [0.1]}}]).encode()
    assert send(admin_client, "row", "row.yaml", text)["Location"] == "/portfolio/row/image_tuned"
    row = PortfolioRow.objects.get(name="image_tuned")
    assert (row.params, row.origin, row.enabled, row.position) == ({"lr": 0.1}, "a search", False, 8)
    assert "already exists" in send(admin_client, "row", "row.yaml", text).content.decode()


def test_a_configuration_goes_to_another_site(admin_client: Client, owner_client: Client) -> None:
    send(admin_client, "row", "row.yaml", yaml.safe_dump(FOUND).encode())
    page = admin_client.get("/portfolio/row/image_tuned").content.decode()
    assert 'href="/portfolio/row/image_tuned/row.yaml"' in page
    assert owner_client.get("/portfolio/row/image_tuned/row.yaml").status_code == 404
    content = admin_client.get("/portfolio/row/image_tuned/row.yaml").content
    PortfolioRow.objects.all().delete()
    send(admin_client, "row", "row.yaml", content)
    row = PortfolioRow.objects.get()
    assert (row.name, row.modality, row.model, row.params) == ("image_tuned", "image", "image_resnet", {"lr": 0.1})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (2 * yaml.safe_dump([FOUND]), "must describe one configuration"),
        ("just words", "must describe one configuration"),
        ("!!python/object/apply:os.system ['true']", "neither YAML nor JSON"),
        ("\0", "neither YAML nor JSON"),
        (yaml.safe_dump(FOUND | {"model": "os"}), "model: Select a valid choice"),
        (yaml.safe_dump(FOUND | {"modality": "text"}), "image_resnet is for image data, not for text data"),
        (yaml.safe_dump(FOUND | {"params": [1]}), "Parameters are names with values"),
        (yaml.safe_dump(FOUND | {"name": "../up"}), "name: Use letters"),
        (yaml.safe_dump(FOUND | {"model": "challenge", "params": {"path": "/etc"}}), "imported here"),
        ("#" * 70_000, "at most 64"),
        (yaml.safe_dump(FOUND | {"params": {"a": float("nan")}}), "Values must be numbers"),
        ("params: {since: 2020-01-01}", "Values must be numbers"),
        ("[" * 5000, "not nested too deeply"),
        ("a: &a [x]\nb: [*a, *a]", "write the values out"),
    ],
)
def test_a_file_that_describes_no_row(admin_client: Client, text: str, sentence: str) -> None:
    assert sentence in send(admin_client, "row", "row.yaml", text.encode()).content.decode()
    assert not PortfolioRow.objects.exists()


@pytest.mark.parametrize(
    ("params", "terms"),
    [
        ({"network": "efficientnet_lite0"}, "Apache-2.0"),
        ({"network": "efficientnet_lite0", "weights": "foreign/x.safetensors"}, None),
    ],
)
def test_a_row_shows_on_whose_terms_its_network_was_trained(params: dict[str, str], terms: str | None) -> None:
    assert engine.weights_card(files.weights_name("image_pretrained", params)).get("licence") == terms
