"""HTTP requests to addresses that users give: only to public hosts, also after a redirect.

A name is resolved once, all its addresses are checked, and the connection goes to one that was checked: a name that
resolves to something else a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, quote, urljoin, urlsplit

TIMEOUT_S = 10.0
REDIRECTS = 3
REDIRECTING = {"POST": (301, 302, 307, 308), "GET": (301, 302, 303, 307, 308)}
PORTS = {"http": 80, "https": 443}
SAFE = "%/:=&?~#+!$,;'@()*[]"  # stays as it is in an address
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # no IPv4 address in disguise lies here, but for 6to4


class Refused(Exception):
    """The address may not be asked; ``str`` is one sentence."""


class Failed(Exception):
    """The host did not take it; ``str`` says why."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """
    Raises:
        Refused: the address, or one that it redirects to, is not public.
        Failed: it does not answer, or not with success.
    """
    with _answer("POST", url, body, headers):
        pass


@contextmanager
def get(url: str) -> Iterator[tuple[HTTPResponse, str]]:
    """The answer and the address that gave it; its ``blocks`` are read within.  Raises Refused or Failed."""
    with _answer("GET", url, None, {"Accept-Encoding": "identity"}) as answer:
        yield answer


def blocks(response: HTTPResponse, most_bytes: int = 2**18) -> Iterator[bytes]:
    """The body as it comes.  Raises Failed when the connection is lost."""
    try:
        while block := response.read1(most_bytes):
            yield block
    except (OSError, HTTPException) as error:
        raise Failed(f"the connection was lost ({error or type(error).__name__})") from error
    if response.length:
        raise Failed(f"the connection was lost, {response.length} bytes before the end")


@contextmanager
def _answer(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str]
) -> Iterator[tuple[HTTPResponse, str]]:
    """The successful answer behind all redirects."""
    for _ in range(REDIRECTS + 1):
        with _asked(method, url, body, headers) as response:
            location = response.headers.get("Location")
            if response.status not in REDIRECTING[method] or not location:
                if not 200 <= response.status < 300:
                    break
                yield response, url
                return
            url = urljoin(url, quote(location.encode("latin-1"), SAFE))  # the bytes as they came
    raise Failed(f"the server answered with status {response.status}")


def resolve(url: str) -> tuple[SplitResult, str, int]:
    """The parts of an address, and the IP address and port to connect to.

    Raises:
        Refused: the address is not public.
        Failed: its host is not known.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise Refused("The address is not valid; copy it again.") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.username is not None:
        raise Refused("The address must begin with https:// or http:// and hold no user name.")
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Failed(f"the host {parts.hostname} is not known") from None
    addresses = [str(address[0]) for *_, address in found]
    if not all(map(is_public, addresses)):
        raise Refused(f"{parts.hostname} is in a private network; give an address on the public internet.")
    return parts, addresses[0], port


def is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip not in GLOBAL_UNICAST or ip.sixtofour):
        return False
    return ip.is_global and not ip.is_multicast


@contextmanager
def _asked(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
    """The answer of this very address."""
    parts, address, port = resolve(url)
    assert parts.hostname
    connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.hostname, port)
    path = quote(f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}", SAFE)
    with ExitStack() as stack:
        try:
            secure_host = parts.hostname if parts.scheme == "https" else ""
            connection.sock = stack.enter_context(_connected(address, port, secure_host))
            overdue = threading.Timer(TIMEOUT_S, connection.sock.shutdown, [socket.SHUT_RDWR])
            overdue.start()  # for a server that answers bit by bit
            try:
                connection.request(method, path, body, {"User-Agent": "AutoDL-Self-Service", **headers})
                response = stack.enter_context(connection.getresponse())
            finally:
                overdue.cancel()
        except (OSError, HTTPException) as error:
            raise Failed(f"the server does not answer ({error or type(error).__name__})") from error
        yield response


def _connected(address: str, port: int, secure_host: str) -> socket.socket:
    """To this very address; with a certificate of ``secure_host``, unless that is empty."""
    plain = socket.create_connection((address, port), TIMEOUT_S)
    if not secure_host:
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=secure_host)
    except BaseException:
        plain.close()
        raise
