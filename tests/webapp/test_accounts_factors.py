"""Second factors, passkeys, OpenID Connect; what registration does not tell; the deployment check."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from django.core import mail
from django.core.cache import cache
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

from tests.webapp.conftest import PASSWORD
from webapp.accounts.models import AuditEntry, User

ROOT = Path(__file__).resolve().parents[2]
FACTORS = "/accounts/2fa"
pytestmark = pytest.mark.django_db


def log_in(client: Client, user: User) -> str:
    """Where the log-in page leads."""
    return client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})["Location"]


def log_in_to_manage(client: Client, user: User) -> None:
    """Whoever changes factors gives the password again."""
    log_in(client, user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})


def code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def test_a_second_factor_is_asked_for(client: Client, owner: User, django_capture_on_commit_callbacks: Any) -> None:
    log_in_to_manage(client, owner)
    page = client.get(f"{FACTORS}/totp/activate/").content.decode()
    assert 'class="site-head"' in page
    secret = re.search(r'value="([A-Z2-7]{32})"', page)
    assert secret
    with django_capture_on_commit_callbacks(execute=True):
        assert client.post(f"{FACTORS}/totp/activate/", {"code": code(secret[1])}).status_code == 302
    assert "recovery" in client.get(f"{FACTORS}/").content.decode().lower()
    client.post("/accounts/logout/")
    cache.clear()  # a code counts once

    assert log_in(client, owner) == f"{FACTORS}/authenticate/"
    assert client.get("/account/").status_code == 302  # not yet logged in
    assert client.post(f"{FACTORS}/authenticate/", {"code": "000000"}).status_code == 200
    assert client.post(f"{FACTORS}/authenticate/", {"code": code(secret[1])}).status_code == 302
    assert client.get("/account/").status_code == 200
    assert {"added a second factor", "gave a wrong second factor"} <= set(
        AuditEntry.objects.values_list("action", flat=True)
    )


class Authenticator:
    """A passkey in software."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = os.urandom(16)

    def data(self, place: str, attested: AttestedCredentialData | None = None) -> AuthenticatorData:
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV
        flags |= AuthenticatorData.FLAG.AT if attested else 0
        return AuthenticatorData.create(sha256(place.encode()).digest(), flags, 1, attested or b"")

    def register(self, options: dict[str, Any]) -> dict[str, Any]:
        place = options["publicKey"]["rp"]["id"]
        public = ES256.from_cryptography_key(self.key.public_key())
        data = self.data(place, AttestedCredentialData.create(b"\0" * 16, self.id, public))
        attestation = AttestationObject.create("none", data, {})
        return self._answer() | {
            "response": {
                "clientDataJSON": self._client("webauthn.create", options, place),
                "attestationObject": websafe_encode(attestation),
            }
        }

    def sign(self, options: dict[str, Any], user: User) -> dict[str, Any]:
        place = options["publicKey"]["rpId"]
        data, told = self.data(place), self._client("webauthn.get", options, place)
        client = CollectedClientData.create("webauthn.get", options["publicKey"]["challenge"], f"http://{place}")
        signature = self.key.sign(bytes(data) + client.hash, ec.ECDSA(SHA256()))
        response = {"clientDataJSON": told, "authenticatorData": websafe_encode(data)}
        response |= {
            "signature": websafe_encode(signature),
            "userHandle": websafe_encode(user_pk_to_url_str(user).encode()),
        }
        return self._answer() | {"response": response}

    def _client(self, kind: str, options: dict[str, Any], place: str) -> str:
        return websafe_encode(CollectedClientData.create(kind, options["publicKey"]["challenge"], f"http://{place}"))

    def _answer(self) -> dict[str, Any]:
        name = websafe_encode(self.id)
        return {"id": name, "rawId": name, "type": "public-key", "clientExtensionResults": {"credProps": {"rk": True}}}


def test_a_passkey_logs_in(client: Client, owner: User) -> None:
    log_in_to_manage(client, owner)
    key = Authenticator()
    page = client.get(f"{FACTORS}/webauthn/add/").content.decode()
    told = re.search(r'<script id="js_data" type="application/json">(.*?)</script>', page, re.S)
    assert told
    credential = key.register(json.loads(told[1])["creation_options"])
    form = {"name": "mine", "credential": json.dumps(credential), "passwordless": "on"}
    assert client.post(f"{FACTORS}/webauthn/add/", form).status_code == 302
    assert "mine" in client.get(f"{FACTORS}/webauthn/").content.decode()
    client.post("/accounts/logout/")

    assert "passkey" in client.get("/accounts/login/").content.decode()
    login = f"{FACTORS}/webauthn/login/"
    options = client.get(login, headers={"Accept": "application/json"}).json()["request_options"]
    assert client.post(login, {"credential": json.dumps(key.sign(options, owner))}).status_code == 302
    assert client.get("/account/").status_code == 200


def test_pages_of_factors_run_no_inline_script(client: Client, owner: User) -> None:
    log_in_to_manage(client, owner)
    for page in ("/", "/totp/activate/", "/webauthn/", "/webauthn/add/"):
        text = client.get(f"{FACTORS}{page}").content.decode()
        assert 'class="site-head"' in text
        assert [tag for tag in re.findall(r"<script[^>]*>", text) if "src=" not in tag and "json" not in tag] == []


class Provider(BaseHTTPRequestHandler):
    """An OpenID Connect server that knows one person."""

    def answer(self, content: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def do_GET(self) -> None:
        base = f"http://{self.headers['Host']}"
        if self.path == "/.well-known/openid-configuration":
            places = {f"{name}_endpoint": f"{base}/{name}" for name in ("authorization", "token", "userinfo")}
            self.answer({"issuer": base, "jwks_uri": f"{base}/keys", **places})
        else:
            self.answer({"sub": "ada-1", "email": "ada@example.org", "email_verified": True})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"access_token": "xyz", "token_type": "Bearer"})

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def provider(settings: Any) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    app = {
        "provider_id": "oidc",
        "name": "Our company",
        "client_id": "site",
        "secret": "s",
        "settings": {"server_url": url},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app], "OAUTH_PKCE_ENABLED": True}}
    yield url
    server.shutdown()
    server.server_close()


def test_openid_connect(client: Client, provider: str) -> None:
    assert "Log in with Our company" in client.get("/accounts/login/").content.decode()
    there = client.post("/accounts/oidc/oidc/login/?process=login")["Location"]
    assert there.startswith(f"{provider}/authorization?")
    asked = parse_qs(urlsplit(there).query)
    assert asked["code_challenge_method"] == ["S256"]
    back = urlsplit(asked["redirect_uri"][0]).path
    assert back == "/accounts/oidc/oidc/login/callback/"
    assert client.get(back, {"code": "1", "state": asked["state"][0]}).status_code == 302
    assert User.objects.get().email == "ada@example.org"
    assert client.get("/account/").status_code == 200


def test_openid_connect_takes_no_account_over(client: Client, provider: str) -> None:
    """An account with that address is somebody else's, as far as we know."""
    User.objects.create_user("ada@example.org", PASSWORD)
    asked = parse_qs(urlsplit(client.post("/accounts/oidc/oidc/login/?process=login")["Location"]).query)
    client.get("/accounts/oidc/oidc/login/callback/", {"code": "1", "state": asked["state"][0]})
    assert client.get("/account/").status_code == 302
    assert User.objects.count() == 1


def test_registration_does_not_tell_who_is_registered(client: Client, owner: User, settings: Any) -> None:
    """The owner of the address is told by mail; the page is the same."""
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    answers = [
        Client().post("/accounts/signup/", {"email": email, "password1": PASSWORD}, follow=True)
        for email in (owner.email, "new@example.org")
    ]
    assert answers[0].redirect_chain == answers[1].redirect_chain
    pages = [re.sub(r"\S+@example\.org|value=\"\S+\"", "", answer.content.decode()) for answer in answers]
    assert pages[0] == pages[1]
    assert sorted(message.to[0] for message in mail.outbox) == ["new@example.org", owner.email]


@pytest.mark.parametrize(("variable", "expected"), [({}, "none"), ({"EMAIL_URL": "smtp://mail:25"}, "mandatory")])
def test_where_mail_is_sent_addresses_are_confirmed(variable: dict[str, str], expected: str, tmp_path: Path) -> None:
    ask = "from webapp import settings; print(settings.ACCOUNT_EMAIL_VERIFICATION)"
    environment = os.environ | {"DATA_DIR": str(tmp_path)} | variable
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == expected, done.stderr


def test_check_deploy_is_clean(tmp_path: Path) -> None:
    """With HTTPS=1 and single sign-on."""
    oidc = {"OIDC_SERVER_URL": "https://id.example.org", "OIDC_CLIENT_ID": "site", "OIDC_CLIENT_SECRET": "s"}
    environment = os.environ | {"HTTPS": "1", "DATA_DIR": str(tmp_path), "ALLOWED_HOSTS": "example.org"} | oidc
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout
