"""HTTP requests to addresses that users give: only to public hosts, also after a redirect.

A name is resolved once, all its addresses are checked, and the connection goes to one that was checked: a name that
resolves to something else a moment later changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urljoin, urlsplit

TIMEOUT_S = 10.0
REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
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
    for _ in range(REDIRECTS + 1):
        status, location = _post(url, body, headers)
        if status not in (301, 302, 307, 308) or not location:
            break
        url = urljoin(url, location)
    if not 200 <= status < 300:
        raise Failed(f"the server answered with status {status}")


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


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """Status and place of a redirect."""
    parts, address, port = resolve(url)
    assert parts.hostname
    connection = (HTTPSConnection if parts.scheme == "https" else HTTPConnection)(parts.hostname, port)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    try:
        with _connected(address, port, parts.hostname if parts.scheme == "https" else "") as connection.sock:
            overdue = threading.Timer(TIMEOUT_S, connection.sock.shutdown, [socket.SHUT_RDWR])
            overdue.start()  # for a server that answers bit by bit
            try:
                connection.request("POST", path, body, {"User-Agent": "AutoDL-Self-Service", **headers})
                response = connection.getresponse()
            finally:
                overdue.cancel()
            return response.status, response.headers.get("Location", "")
    except (OSError, HTTPException) as error:
        raise Failed(f"the server does not answer ({error or type(error).__name__})") from error


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
