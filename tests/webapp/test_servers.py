"""Jobs, pages, accounts and API with a real PostgreSQL and a real Redis or Valkey, started here: the Debian packages.

They are skipped where one of them is not installed, and fail there with AUTODL_TEST_SERVERS=required, as in CI.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.webapp import networks

ROOT = Path(__file__).resolve().parents[2]
PART = ("database", "datasets_jobs", "jobs_stop", "ops_turns", "runs_jobs")
"""What depends most on database and queue: locks, jobs, order, and what is stopped or lost."""
REST = (
    *("accounts_guests", "accounts_pages", "api_endpoints", "datasets_tus", "ops_health", "portfolio_scores"),
    *("query_counts", "runs_pages", "security_urls"),
)
START_LIMIT_S = 60
NOTICED_S = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def program(*names: str) -> str:
    """The first of them that is installed; Debian keeps PostgreSQL's beside the PATH."""
    folders = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    found = next(filter(None, (shutil.which(name, path=folders) for name in names)), None)
    if not found:
        end = pytest.fail if os.environ.get("AUTODL_TEST_SERVERS") == "required" else pytest.skip
        end(f"{names[-1]} is missing; install Debian's packages postgresql and redis-server to run these tests")
    return found


def ends(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where the servers listen: on a bridge that hosts with a network of their own reach, or on this machine alone."""
    with networks.bridge() as bridge, pytest.MonkeyPatch.context() as patch:
        if bridge:
            patch.setenv(networks.VARIABLE, f"{bridge.name} {bridge.network}")
        yield bridge.address if bridge else "127.0.0.1"


@pytest.fixture(scope="module")
def postgres(address: str) -> Iterator[str]:
    """The address of a new server.  It refuses to be run by root, so root runs it as the package's user."""
    initdb = program("initdb")
    folder, port = Path(f"/tmp/autodl-postgres-{os.getpid()}"), free_port()  # all above it can be entered by that user
    folder.mkdir(mode=0o700)
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    command = [initdb, "-D", str(folder / "data"), "-U", "autodl", "-A", "trust", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)
    with open(folder / "data" / "pg_hba.conf", "a") as rules:
        rules.write("host all all samenet trust\n")
    options = {"listen_addresses": address, "port": port, "unix_socket_directories": folder, "fsync": "off"}
    options["statement_timeout"] = "300s"  # a test that waits for a lock for ever fails
    command = [program("postgres"), "-D", str(folder / "data"), *(f"--{key}={value}" for key, value in options.items())]
    server = subprocess.Popen(command, user=user, cwd=folder, stderr=subprocess.DEVNULL)
    ready = [program("pg_isready"), "-h", address, "-p", str(port), "-q"]
    deadline = time.monotonic() + START_LIMIT_S
    while subprocess.run(ready).returncode:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield f"postgres://autodl@{address}:{port}/postgres"
    stop = [program("pg_ctl"), "stop", "-D", str(folder / "data"), "-m", "fast"]  # also one that a test has started
    subprocess.run(stop, check=True, capture_output=True, user=user, cwd=folder)
    server.wait(30)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def redis_url(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    options = ["--port", str(port), "--bind", address, "--protected-mode", "no", "--save", ""]
    options += ["--dir", str(tmp_path_factory.mktemp("redis"))]
    server = subprocess.Popen([program("valkey-server", "redis-server"), *options], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            redis.Redis(address, port).ping()
            break
        except redis.ConnectionError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
    yield f"redis://{address}:{port}/0"
    ends(server)


@pytest.mark.slow  # a part of the suite once more, and three hosts
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        pytest.param(("two_hosts",), "", id="hosts"),
        pytest.param(("faults",), "long", id="faults", marks=pytest.mark.long),
        pytest.param(("ops_replace",), "long", id="replace", marks=pytest.mark.long),
        pytest.param(PART, "not long and not slow and not browser", id="part"),
        pytest.param(REST, "not long and not slow and not browser", id="rest", marks=pytest.mark.long),
    ],
)
def test_the_site_on_servers_of_its_own(postgres: str, redis_url: str, files: tuple[str, ...], chosen: str) -> None:
    paths = [f"tests/webapp/test_{name}.py" for name in files]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", chosen, "-p", "no:cacheprovider", "--durations=8", *paths],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": postgres, "REDIS_URL": redis_url},
        capture_output=True,
        text=True,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


ASKS = """
import django
django.setup()
from django.db import connection
connection.ensure_connection()
print("connected", flush=True)
input()
connection.cursor().execute("SELECT 1")
"""


@pytest.mark.long
@pytest.mark.parametrize("asks", [True, False])
def test_a_database_that_vanishes_without_a_word(postgres: str, asks: bool, tmp_path: Path) -> None:
    """Its host loses its network after the connection was made: before the question, or while the answer is awaited."""
    with networks.bridge() as bridge:
        if not bridge:
            pytest.skip(f"needs networks of its own: {networks.WANTED}=1, root and ip")
        code = ASKS if asks else ASKS.replace("SELECT 1", "SELECT pg_sleep(300)")
        process = subprocess.Popen(
            [*bridge.join(3), sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ
            | {"DATABASE_URL": postgres, "DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "webapp.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "connected\n"
        if not asks:
            print("", file=process.stdin, flush=True)
            time.sleep(1)
        bridge.connect(3, "down")
        begun = time.monotonic()
        _, errors = process.communicate("\n", timeout=NOTICED_S)
        print(f"noticed after {time.monotonic() - begun:.1f} s")
        assert "OperationalError" in errors
