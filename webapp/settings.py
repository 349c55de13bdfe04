"""Settings: everything comes from the environment, and every default works on a bare laptop.

DATA_DIR holds all state: database, uploads, data sets, runs, the Redis socket, the secret key.
"""

import secrets
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()
BASE_DIR = Path(__file__).resolve().parent.parent
environ.Env.read_env(BASE_DIR / ".env")

TESTING = "pytest" in sys.modules
DATA_DIR = Path(env("DATA_DIR", default="") or BASE_DIR / "var").expanduser().resolve()
if TESTING:
    DATA_DIR = Path(tempfile.mkdtemp(prefix="autodl-test-"))
DATA_DIR.mkdir(parents=True, exist_ok=True)


def _secret_key() -> str:
    """Made once and kept in DATA_DIR, readable by us alone."""
    path = DATA_DIR / "secret_key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(50))
    return path.read_text()


SECRET_KEY = env("SECRET_KEY", default="") or _secret_key()
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_SSL_REDIRECT = HTTPS  # the proxy must send X-Forwarded-Proto
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # HSTS preloading binds a whole domain for years: not ours to decide
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
# Who may read /metrics; behind a proxy, which HTTPS means, every request may seem to come from this machine.
METRICS_ADDRESSES = env.list("METRICS_ADDRESSES", default=[] if HTTPS else ["127.0.0.0/8", "::1/128"])
METRICS_TOKEN = env("METRICS_TOKEN", default="")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "django_htmx",
    "django_rq",
    "webapp.accounts",
    "webapp.datasets",
    "webapp.runs",
    "webapp.leaderboard",
    "webapp.portfolio",
    "webapp.challenges",
    "webapp.api",
    "webapp.guide",
    "webapp.ops",
]
MIDDLEWARE = [
    "webapp.ops.health.middleware.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "webapp.ops.static_files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "webapp.headers.PermissionsPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webapp.accounts.guests.GuestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["webapp.sizes"],
        },
    }
]

DATABASES = {"default": env.db("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif DATABASES["default"]["ENGINE"].endswith("postgresql"):  # a machine that vanishes says nothing: noticed in 30 s
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 10,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    } | DATABASES["default"].get("OPTIONS", {})
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def _redis_socket() -> Path:
    """A Unix socket path is limited to 107 bytes: a long DATA_DIR gets a short private directory instead."""
    path = DATA_DIR / "redis.sock"
    if len(bytes(path)) <= 100:
        return path
    return Path(tempfile.gettempdir()) / f"autodl-{sha256(bytes(DATA_DIR)).hexdigest()[:12]}" / "redis.sock"


REDIS_SOCKET = _redis_socket()
WARM_ENGINE = Path(env("WARM_ENGINE")) if env("WARM_ENGINE", default="") else None  # beside a training worker
WARM_PREDICTOR = Path(env("WARM_PREDICTOR")) if env("WARM_PREDICTOR", default="") else None  # of a prediction worker
REDIS_URL = env("REDIS_URL", default="")  # empty: the bundled server on REDIS_SOCKET
_queue = {"URL": REDIS_URL or f"unix://{REDIS_SOCKET}", "SERIALIZER": "rq.serializers.JSONSerializer"}
RQ_QUEUES = {"train": _queue, "convert": _queue, "pack": _queue, "predict": _queue}  # each has workers of its own
RQ = {"COMMIT_MODE": "on_db_commit", "QUEUE_CLASS": "webapp.ops.queues.FairQueue"}
if REDIS_URL:  # several web servers must count failed logins together; a single one counts in its memory
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast: tests make many users
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_UNIQUE_EMAIL = True
ACCOUNT_ADAPTER = "webapp.accounts.adapter.AccountAdapter"
ACCOUNT_RATE_LIMITS = {
    "guest": "10/h/ip",
    "try": "60/h/ip,300/h/key",
    "share": "30/h/user,3/h/key",
}  # beside allauth's own
ACCOUNT_PREVENT_ENUMERATION = True  # at registration it takes mail: without, who registers is logged in at once
EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
SENDS_MAIL = EMAIL_CONFIG["EMAIL_BACKEND"] != "django.core.mail.backends.console.EmailBackend"
ACCOUNT_EMAIL_VERIFICATION = env("EMAIL_VERIFICATION", default="") or ("mandatory" if SENDS_MAIL else "none")
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "AutoDL Self-Service"
MFA_ALLOW_UNVERIFIED_EMAIL = ACCOUNT_EMAIL_VERIFICATION != "mandatory"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # browsers allow it on localhost alone
OIDC_SERVER_URL = env("OIDC_SERVER_URL", default="")
if OIDC_SERVER_URL:
    _oidc = {
        "provider_id": "oidc",
        "name": env("OIDC_NAME", default="single sign-on"),
        "client_id": env("OIDC_CLIENT_ID"),
        "secret": env("OIDC_CLIENT_SECRET"),
        "settings": {"server_url": OIDC_SERVER_URL},
    }
    SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [_oidc], "OAUTH_PKCE_ENABLED": True}}
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
SITE_URL = env("SITE_URL", default=f"http://{env('HOST', default='127.0.0.1')}:{env('PORT', default='8000')}")
DEFAULT_FROM_EMAIL = env("FROM_EMAIL", default="AutoDL Self-Service <noreply@localhost>")

LANGUAGE_CODE = "en"
TIME_ZONE = env("TIME_ZONE", default="UTC")
USE_I18N = USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING or DEBUG
        else "webapp.ops.static_files.GzipManifestStorage"
    },
}
MEDIA_ROOT = DATA_DIR / "media"  # never served as such: files go through their owner's view
STORAGE_URL = env("STORAGE_URL", default="")  # s3://BUCKET/FOLDER: shared by machines with a DATA_DIR each
if "@" in STORAGE_URL:  # addresses get into logs
    raise ImproperlyConfigured("Give the keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, not in STORAGE_URL.")
STORAGE_CACHE_BYTES = env.int("STORAGE_CACHE_BYTES", default=50 * 2**30)  # of local copies

# No inline scripts, no external request. Plotly sets style attributes by script, which CSP allows; it also
# inserts <style> elements, hence 'unsafe-inline' for styles alone.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, "'unsafe-inline'"],
        "img-src": [SELF, "data:", "blob:"],
        "media-src": [SELF, "blob:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF, *(["/".join(OIDC_SERVER_URL.split("/")[:3])] if OIDC_SERVER_URL else [])],
        "frame-ancestors": [NONE],
    }
}
PERMISSIONS_POLICY = "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Limits: shown beside the drop zone, checked before the first byte and again on arrival.
UPLOAD_MAX_BYTES = env.int("UPLOAD_MAX_BYTES", default=5 * 2**30)
UPLOAD_CHUNK_BYTES = 2**20  # what a closed tab or a broken line loses at most
DATA_UPLOAD_MAX_MEMORY_SIZE = UPLOAD_CHUNK_BYTES + 2**20
ANONYMOUS_BODY_MAX_BYTES = env.int("ANONYMOUS_BODY_MAX_BYTES", default=2**20)  # of a request by nobody we know
BODIES_MAX_BYTES = env.int("BODIES_MAX_BYTES", default=2 * UPLOAD_MAX_BYTES)  # of all requests at once, on this server
BODY_STALL_S = env.int("BODY_STALL_S", default=30)  # how long a request that is not whole may be silent
VIEWERS_MAX = env.int("VIEWERS_MAX", default=1000)  # pages that follow a run live, of this web process
DATA_UPLOAD_MAX_NUMBER_FILES = 100
KEEP_DAYS = env.int("KEEP_DAYS", default=0)  # after which unused private data is deleted; 0: never
RUNS_PER_DAY = env.int("RUNS_PER_DAY", default=5)  # as the original; a user's own numbers override them
RUNS_TOTAL = env.int("RUNS_TOTAL", default=100)
GUEST_MAX_BYTES = env.int("GUEST_MAX_BYTES", default=100 * 2**20)  # before registering; 0: nobody is a guest
GUEST_RUN_S = env.int("GUEST_RUN_S", default=60)  # longest run before registering, one an hour; 0: none
STORAGE_MAX_BYTES = env.int("STORAGE_MAX_BYTES", default=20 * 2**30)
STARTER_DATA = env.bool("STARTER_DATA", default=True)
STARTER_RUNS = env.bool("STARTER_RUNS", default=True)
BUDGETS_S = (20, 60, 300, 1200)
# When the site is told to stop: how long jobs and requests that are under way may take to end, and how long a web
# server still serves after /readyz has said that it stops, which a balancer must notice.
STOP_GRACE_S = env.int("STOP_GRACE_S", default=BUDGETS_S[-1] + 60)
DRAIN_S = env.int("DRAIN_S", default=0)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"job": {"()": "webapp.ops.health.logs.JobFilter"}},
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(job)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain", "filters": ["job"]}},
    "root": {"handlers": ["console"], "level": env("LOG_LEVEL", default="INFO")},
}
