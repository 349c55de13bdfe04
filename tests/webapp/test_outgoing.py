"""Requests to addresses of users: never into a private network, whatever a name or a redirect says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from webapp import outgoing


class Hook(BaseHTTPRequestHandler):
    """Answers as the path says: ``/302`` redirects to ``server.location``."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, body, dict(self.headers)))  # type: ignore[attr-defined]
        status = int(self.path.strip("/").partition("?")[0] or 204)
        self.send_response(status)
        if status in (302, 307):
            self.send_header("Location", self.server.location)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that counts as public under the address 127.0.0.1, and only there."""
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.seen, server.location = [], ""
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1"),
        *("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1"),
    ],
)
def test_private_addresses(address: str) -> None:
    assert not outgoing.is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_public_addresses(address: str) -> None:
    assert outgoing.is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/x", "127.0.0.1 is in a private network"),
        ("http://[::1]:8000/", "::1 is in a private network"),
        ("http://2130706433/", "is in a private network"),
        ("https://localhost/", "localhost is in a private network"),
        ("ftp://example.org/", "must begin with https"),
        ("https://user:word@example.org/", "hold no user name"),
        ("http://example.org:99999/", "not valid"),
        ("https:///path", "must begin with https"),
    ],
)
def test_what_is_refused(url: str, reason: str) -> None:
    with pytest.raises(outgoing.Refused, match=reason):
        outgoing.post(url, b"{}", {})


def test_one_private_address_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(None, None, None, "", (address, 443)) for address in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(outgoing.Refused):
        outgoing.post("https://rebinding.example/", b"{}", {})


def test_a_name_is_resolved_once(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it resolves to at a second look does not matter."""
    answers = [[(None, None, None, "", ("127.0.0.1", hook.server_port))]]
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", lambda *_, **__: answers.pop())

    def connect(address: tuple[str, int], timeout_s: float) -> socket.socket:
        found = socket.socket()
        found.settimeout(timeout_s)
        found.connect(address)
        return found

    monkeypatch.setattr(outgoing.socket, "create_connection", connect)  # the usual one resolves, too
    outgoing.post(f"http://name.example:{hook.server_port}/204?a=b", b"{}", {"X-Mark": "1"})
    ((path, body, headers),) = hook.seen
    assert (path, body, headers["X-Mark"]) == ("/204?a=b", b"{}", "1")
    assert headers["Host"] == f"name.example:{hook.server_port}"


def test_redirects_are_checked_like_the_address_itself(hook: Any) -> None:
    hook.location = "/204"
    outgoing.post(f"{hook.url}/302", b"{}", {})
    assert [path for path, *_ in hook.seen] == ["/302", "/204"]
    hook.location = "http://10.0.0.1/"
    with pytest.raises(outgoing.Refused, match=r"10\.0\.0\.1 is in a private network"):
        outgoing.post(f"{hook.url}/307", b"{}", {})
    hook.location = "/302"
    with pytest.raises(outgoing.Failed, match="status 302"):
        outgoing.post(f"{hook.url}/302", b"{}", {})


def test_what_fails_is_told(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(outgoing.Failed, match="status 500"):
        outgoing.post(f"{hook.url}/500", b"{}", {})
    with pytest.raises(outgoing.Failed, match=r"host nowhere\.invalid is not known"):
        outgoing.post("https://nowhere.invalid/", b"{}", {})
    monkeypatch.setattr(outgoing, "TIMEOUT_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(outgoing.Failed, match="does not answer"):
            outgoing.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"{}", {})
