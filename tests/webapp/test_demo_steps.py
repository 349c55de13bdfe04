"""The steps of ``make demo`` that need neither workers nor an engine; the whole of it runs end to end elsewhere."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops import demo


@pytest.mark.django_db(transaction=True)
def test_registers_and_uploads_over_http(live_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CHUNK_BYTES", 1000)
    data = tmp_path / "digits.zip"
    data.write_bytes(b"PK" + bytes(2500))
    site = demo.Site(live_server.url)
    demo.register(site)
    dataset = Dataset.objects.get(pk=demo.upload(site, data))
    assert dataset.owner == User.objects.get()
    assert dataset.raw_path.read_bytes() == data.read_bytes()
    assert site.json(f"/api/datasets/{dataset.pk}")["state"] == "queued"


@pytest.mark.django_db(transaction=True)
def test_what_the_server_refuses_is_told(live_server: Any) -> None:
    site = demo.Site(live_server.url)
    with pytest.raises(demo.DemoError, match=r"/api/datasets was answered with 401"):
        site.json("/api/datasets")


def test_reads_server_sent_events() -> None:
    stream = io.BytesIO(
        b'retry: 3000\n\n: still here\n\nid: 1-0\nevent: point\ndata: {"t": 1}\n\nevent: end\ndata: {}\n\n'
    )
    assert list(demo._messages(stream)) == [("point", {"t": 1}), ("end", {})]  # type: ignore[arg-type]


def _model(folder: Path, script: str) -> Path:
    path = folder / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("predict.py", script)
        archive.writestr("sample/input/a.txt", "a")
    return path


def test_runs_the_models_own_script(tmp_path: Path) -> None:
    out = demo.predict(_model(tmp_path, "import sys; open(sys.argv[3], 'w').write('name,prediction')"))
    assert out.read_text() == "name,prediction"


def test_a_broken_model_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(demo.DemoError, match="no such thing"):
        demo.predict(_model(tmp_path, "raise SystemExit('no such thing')"))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [({"BUDGET": "soon"}, "BUDGET must be a number"), ({"DATA": "/nowhere.zip"}, "DATA=/nowhere.zip is no file")],
)
def test_wrong_settings_are_one_sentence(
    setting: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(demo, "_answers", lambda site: True)
    assert demo.main() == 1
    assert sentence in capsys.readouterr().err


def test_waiting_has_an_end() -> None:
    with pytest.raises(demo.DemoError, match="too long"):
        demo.wait_for(lambda: None, 0, "too long")
