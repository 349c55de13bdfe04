"""A network of this machine's own for tests: a bridge, and hosts in network namespaces that reach nothing else."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WANTED = "AUTODL_TEST_NETWORKS"
"""Without it no network is made: what the kernel of an unknown machine does with them is not for every test run."""
VARIABLE = "AUTODL_TEST_BRIDGE"
"""Tells a test that another one started of the bridge on which the servers listen."""


def ip(*words: str) -> bool:
    return not subprocess.run(["ip", *words], capture_output=True).returncode


@dataclass
class Bridge:
    """``name`` is that of its device, with which the names of the hosts' devices begin, too."""

    name: str
    network: str
    """The first three numbers of all addresses, which are of those that RFC 2544 sets apart for tests."""
    joined: list[int] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.network}.1"

    def join(self, number: int) -> list[str]:
        """A new namespace with an address of its own; returns the beginning of a command that runs in it."""
        space, outside, inside = self.space(number), f"{self.name}{number}a", f"{self.name}{number}b"
        self.joined.append(number)
        steps = [
            ["netns", "add", space],
            ["link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space],
            ["link", "set", outside, "master", self.name, "up"],
            ["-n", space, "addr", "add", f"{self.network}.{number + 2}/24", "dev", inside],
            ["-n", space, "link", "set", inside, "up"],
            ["-n", space, "link", "set", "lo", "up"],
        ]
        for step in steps:
            assert ip(*step), step
        return ["ip", "netns", "exec", space]

    def space(self, number: int) -> str:
        return f"{self.name}-{number}"

    def connect(self, number: int, way: str) -> None:
        """``down`` draws the cable of a host, ``up`` puts it back."""
        assert ip("link", "set", f"{self.name}{number}a", way)

    def clear(self) -> None:
        """Devices go at once, and not only when the last process of a namespace has ended."""
        for number in self.joined:
            ip("link", "delete", f"{self.name}{number}a")
            ip("netns", "delete", self.space(number))
        self.joined.clear()


@contextmanager
def bridge() -> Iterator[Bridge | None]:
    """That of who started us, or a new one; None where none is wanted, or this machine or this user makes none."""
    told, number = os.environ.get(VARIABLE), secrets.randbelow(512)
    if not told and not (os.environ.get(WANTED) and os.geteuid() == 0 and shutil.which("ip")):
        yield None
        return
    new = f"adl{secrets.token_hex(4)} 198.{18 + number // 256}.{number % 256}"
    name, network = (told or new).split()
    found = Bridge(name, network)
    try:
        yield found if told or _make(found) else None
    finally:
        found.clear()
        if not told:
            ip("link", "delete", found.name)


def _make(new: Bridge) -> bool:
    """Also whether a namespace can be joined to it and reaches us, which some machines let nobody do."""
    steps = (
        ["link", "add", new.name, "type", "bridge"],
        ["addr", "add", f"{new.address}/24", "dev", new.name],
        ["link", "set", new.name, "up"],
    )
    if not all(ip(*step) for step in steps):
        return False
    try:
        with socket.create_server((new.address, 0)) as server:
            code = f"import socket; socket.create_connection({server.getsockname()}, 5)"
            return not subprocess.run([*new.join(0), sys.executable, "-c", code], capture_output=True).returncode
    except AssertionError:
        return False
    finally:
        new.clear()
