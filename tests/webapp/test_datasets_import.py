"""Import from a web address: the file comes in blocks within the limits, and each failure is one sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.webapp import toys
from webapp import engine, outgoing
from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.datasets import storage
from webapp.datasets.models import Dataset

BODY = b"a,b\n1,2\n" * 1000


class Host(BaseHTTPRequestHandler):
    """Answers as the path says."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        moved = {"/moved": "/wine.csv", "/inward": "http://10.0.0.1/wine.csv", "/circle": "/circle"}.get(path)
        status = 302 if moved else 404 if path == "/gone.csv" else 200
        self.send_response(status)
        headers = {
            "/page": {"Content-Type": "text/html"},
            "/named": {"Content-Disposition": 'attachment; filename="../öl.csv"', "Content-Type": "text/csv"},
            "/export": {"Content-Type": "text/csv"},
            "/packed.csv": {"Content-Encoding": "gzip"},
        }.get(path, {"Content-Type": "application/octet-stream"})
        if moved:
            headers["Location"] = moved
        length = {"/cut.csv": len(BODY) + 500, "/large.csv": 10**13, "/empty.csv": 0}.get(path, len(BODY))
        if path not in ("/endless.csv", "/named"):
            headers["Content-Length"] = str(length)
        for name, value in headers.items():
            self.send_header(name, value.encode().decode("latin-1"))
        self.end_headers()
        if status == 200 and length:
            self.wfile.write(BODY)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Counts as public, alone of all."""
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def formatter(monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(source: Path, out: Path, *_: Any) -> None:
        assert source.read_bytes() == BODY
        toys.write_autodl(out, "tabular")

    monkeypatch.setattr(engine, "convert", convert)


@pytest.fixture
def imported(owner_client: Client, host: str) -> Callable[[str], Dataset]:
    """``imported("/wine.csv")``: the data set after its job."""

    def run(path: str) -> Dataset:
        answer = owner_client.post("/data/import", {"url": host + path})
        dataset = Dataset.objects.latest("created")
        assert answer.url == dataset.get_absolute_url()  # type: ignore[attr-defined]
        conversion.convert(dataset.pk)
        dataset.refresh_from_db()
        return dataset

    return run


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/wine.csv", "wine.csv"),
        ("/moved", "wine.csv"),
        ("/weiß.csv", "weiß.csv"),
        ("/named", "öl.csv"),
        ("/export?id=7", "export.csv"),
        ("/endless.csv", "endless.csv"),
    ],
)
def test_a_file_becomes_a_data_set(imported: Callable[[str], Dataset], path: str, name: str) -> None:
    dataset = imported(path)
    assert (dataset.state, dataset.raw_name, dataset.name) == ("ready", name, Path(name).stem)
    assert dataset.raw_path.read_bytes() == BODY
    assert dataset.size_bytes >= len(BODY)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/gone.csv", "the server answered with status 404"),
        ("/page", "leads to a web page, not to a file"),
        ("/inward", "10.0.0.1 is in a private network"),
        ("/circle", "the server answered with status 302"),
        ("/cut.csv", "the connection was lost, 500 bytes before the end"),
        ("/large.csv", "one upload may have"),
        ("/packed.csv", "a compressed form"),
        ("/empty.csv", "The file is empty"),
    ],
)
def test_what_fails_is_told_and_leaves_nothing(
    imported: Callable[[str], Dataset], owner: User, owner_client: Client, path: str, sentence: str
) -> None:
    dataset = imported(path)
    assert dataset.state == "failed"
    assert sentence in dataset.error
    assert [found for found in dataset.dir.rglob("*") if found.is_file()] == []
    assert storage.storage_of(owner).used_bytes == 0
    page = owner_client.get(dataset.get_absolute_url()).content.decode()
    assert "Nothing was kept from http://127.0.0.1" in page
    assert "Try again" in page


def test_a_file_of_unknown_length_ends_at_the_limit(imported: Callable[[str], Dataset], owner: User) -> None:
    owner.storage_max_bytes = 5000
    owner.save()
    dataset = imported("/endless.csv")
    assert "more than 4.9\xa0KB" in dataset.error
    assert not dataset.raw_path.exists()


def test_try_again_fetches_again_and_a_retry_does_not(
    imported: Callable[[str], Dataset], owner_client: Client, host: str
) -> None:
    dataset = imported("/gone.csv")
    Dataset.objects.filter(pk=dataset.pk).update(source_url=f"{host}/wine.csv")
    owner_client.post(f"/data/{dataset.pk}/choices", {})
    conversion.convert(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.state, dataset.name) == ("ready", "wine")
    Dataset.objects.filter(pk=dataset.pk).update(source_url=f"{host}/gone.csv")
    owner_client.post(f"/data/{dataset.pk}/choices", {"seed": 3})
    conversion.convert(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.state == "ready", "what was fetched once is kept"


@pytest.mark.parametrize("url", ["http://127.0.0.1/x.csv", "https://localhost/x.csv", "ftp://example.org/x.csv", "x"])
def test_addresses_that_may_not_be_asked(owner_client: Client, url: str) -> None:
    page = owner_client.post("/data/import", {"url": url}, follow=True).content.decode()
    assert "private network" in page or "must begin with https://" in page or "Type the address of a file" in page
    assert not Dataset.objects.exists()


def test_guests_and_strangers_cannot_import(client: Client, guest_client: Client, db: None) -> None:
    count = Dataset.objects.count()
    for visitor in (client, guest_client):
        assert "/accounts/login/" in visitor.post("/data/import", {"url": "https://example.org/x.csv"})["Location"]
        assert "Import from a web address" not in visitor.get("/").content.decode()
    assert Dataset.objects.count() == count
