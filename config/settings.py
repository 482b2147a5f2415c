"""Every setting, read from the environment once and refused loudly when it makes no sense."""

import hmac
import logging
import re
import secrets
import socket
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import available_timezones

import dj_database_url
from celery.schedules import crontab
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env, validate
from environs.exceptions import EnvError

from config import logs, redis_url

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.0.0.1", "::1", "localhost")
EVERYWHERE = ("0.0.0.0/0", "::/0")

env = Env()


def _read(parse, name, default, **options):
    """The variable `name`, or `default`; an unusable value stops the start and says which one it was."""
    try:
        return parse(name, default, **options)
    except (EnvError, ValueError) as error:
        raise ImproperlyConfigured(f"Environment variable {name} cannot be used: {error}") from error


def _positive(name, default, parse=env.int, most=86_400):
    return _read(parse, name, default, validate=validate.Range(min=1, max=most))


def _from_zero(name, default, most=1_000_000_000):
    return _read(env.int, name, default, validate=validate.Range(0, most))


def _days(name, default):
    return _from_zero(name, default, 36_500)


def _network(name, text):
    """A network of addresses that is not the whole Internet."""
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ImproperlyConfigured(f"Environment variable {name} cannot be used: {error}.") from error
    if network.prefixlen == 0 and not LOCAL:
        raise ImproperlyConfigured(f"{name} must name networks of your own: {text} is everyone's.")
    return network


# --- where and how ---------------------------------------------------------------------------
# DEBUG=1 says that this is somebody's own machine. Django's own DEBUG stays off all the same: its pages show
# stack traces, and it keeps every query.
LOCAL = _read(env.bool, "DEBUG", False)
DEBUG = False
HOST = _read(env.str, "HOST", "127.0.0.1")
PORT = _positive("PORT", 8000, most=65_535)
FLOWER_PORT = _positive("FLOWER_PORT", 5555, most=65_535)
WEB_CONCURRENCY = _positive("WEB_CONCURRENCY", 2)
WORKERS = _positive("WORKERS", 1)
WORKER_CONCURRENCY = _positive("WORKER_CONCURRENCY", 1000)

SECRET_KEY = _read(env.str, "SECRET_KEY", "")
LEAST_SECRET = 24  # characters
if SECRET_KEY == "none":  # of a program that signs nothing, such as Celery beat
    SECRET_KEY = secrets.token_hex(32)
    if _read(env.str, "SECRETS_KEYS", "") != "none":
        raise ImproperlyConfigured("SECRET_KEY=none is for programs without secrets: set SECRETS_KEYS=none as well.")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY to a long random string (`make run` makes one by itself).")
if not LOCAL and (len(SECRET_KEY) < LEAST_SECRET or len(set(SECRET_KEY)) < 8 or "insecure" in SECRET_KEY):
    raise ImproperlyConfigured(
        f"SECRET_KEY can be guessed: what is signed here could be forged. Set {LEAST_SECRET} random "
        "characters or more, such as those of `python3 -c 'import secrets; print(secrets.token_hex(32))'`."
    )
# Fernet keys for the secrets in the database, see chargers.sealing: the first encrypts, each decrypts.
_NEW_KEY = "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"


def _secrets_keys(keys):
    """`keys`, each of which can be used; [] for `none`, of a program that neither sends nor keeps secrets.

    Without any it is one that is derived from SECRET_KEY, see `chargers.checks`.
    """
    if not keys:
        derived = hmac.digest(SECRET_KEY.encode(), b"secrets in the database", "sha256")
        return [urlsafe_b64encode(derived).decode()]
    if keys == ["none"]:
        return []
    for number, key in enumerate(keys, 1):
        try:
            Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"SECRETS_KEYS cannot be used: key {number} of {len(keys)} is not 32 bytes in URL-safe Base64. "
                f"A new key: `{_NEW_KEY}`."
            ) from error
        if not LOCAL and len(set(urlsafe_b64decode(key))) < 8:
            raise ImproperlyConfigured(f"SECRETS_KEYS: key {number} can be guessed. A new key: `{_NEW_KEY}`.")
    return keys


SECRETS_KEYS_ARE_DERIVED = not _read(env.str, "SECRETS_KEYS", "").strip(" ,")
SECRETS_KEYS = _secrets_keys([key.strip() for key in _read(env.list, "SECRETS_KEYS", []) if key.strip()])
# The path below which a proxy serves everything, such as /csms; it may take it off or pass it on.
URL_PREFIX = _read(env.str, "URL_PREFIX", "").rstrip("/")
OWN_PATHS = ("admin", "api", "batches", "chargers", "commands", "curves", "files", "live", "login", "logout")
OWN_PATHS += ("messages", "refused", "schedules", "static", "transactions", "ws")
if URL_PREFIX and (not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", URL_PREFIX) or URL_PREFIX.split("/")[1] in OWN_PATHS):
    raise ImproperlyConfigured(
        "URL_PREFIX must be a path such as /csms, of letters, digits and ._~-, and must not begin with a path of "
        f"this program such as /api: {URL_PREFIX} cannot be used."
    )
FORCE_SCRIPT_NAME = URL_PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = URL_PREFIX or "/"
ALLOWED_HOSTS = _read(env.list, "ALLOWED_HOSTS", list(LOOPBACK) if LOCAL else [])

# The time zone of pages, the admin and exports, also of their days. REST and the wire are in UTC whatever it is.
TIME_ZONE_DISPLAY = _read(env.str, "TIME_ZONE_DISPLAY", "") or "UTC"
if TIME_ZONE_DISPLAY not in available_timezones() - {"Factory", "localtime"}:
    raise ImproperlyConfigured(
        f"TIME_ZONE_DISPLAY is {TIME_ZONE_DISPLAY!r}, which is no time zone. Use a name of the IANA database, "
        "such as UTC, Europe/Berlin or America/Denver."
    )

# --- what it tells of itself -----------------------------------------------------------------
LOG_FORMAT = _read(env.str, "LOG_FORMAT", "line", validate=validate.OneOf(["line", "json"]))
# Where traces go, without /v1/traces: a collector that speaks OTLP over HTTP. Without it there are none.
OTEL_EXPORTER_OTLP_ENDPOINT = _read(env.str, "OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
if OTEL_EXPORTER_OTLP_ENDPOINT and not OTEL_EXPORTER_OTLP_ENDPOINT.startswith(("http://", "https://")):
    raise ImproperlyConfigured(
        "OTEL_EXPORTER_OTLP_ENDPOINT must start with http:// or https://: traces go by OTLP over HTTP, "
        "such as to http://collector:4318."
    )
OTEL_SERVICE_NAME = _read(env.str, "OTEL_SERVICE_NAME", "ocpp-central-system")

# Whether webhooks may be sent to this machine and to private networks, see `chargers.outward`.
WEBHOOK_ALLOW_PRIVATE = _read(env.bool, "WEBHOOK_ALLOW_PRIVATE", LOCAL)

# --- OCPP ------------------------------------------------------------------------------------
OCPP_COMMAND_TIMEOUT = _positive("OCPP_COMMAND_TIMEOUT", 30.0, env.float)
OCPP_QUEUE_TIMEOUT = _positive("OCPP_QUEUE_TIMEOUT", 300.0, env.float)
OCPP_QUEUE_LIMIT = _positive("OCPP_QUEUE_LIMIT", 100)
OCPP_SIMULATE_RESPONSES = _read(env.bool, "OCPP_SIMULATE_RESPONSES", True)
OCPP_UNKNOWN_CHARGERS = _read(
    env.str, "OCPP_UNKNOWN_CHARGERS", "reject", validate=validate.OneOf(["reject", "accept"])
)
if OCPP_UNKNOWN_CHARGERS == "accept" and not LOCAL:
    raise ImproperlyConfigured(
        "OCPP_UNKNOWN_CHARGERS=accept lets anyone connect as any charger: it needs DEBUG=1 and a loopback HOST. "
        "Use OCPP_UNKNOWN_CHARGERS=reject and make the chargers over REST or in the admin."
    )
# From where a charger without a key or a certificate is let in (security profile 0).
OCPP_OPEN_NETWORKS = [
    _network("OCPP_OPEN_NETWORKS", network)
    for network in _read(env.list, "OCPP_OPEN_NETWORKS", list(EVERYWHERE) if LOCAL else [])
]
# Handshakes refused for one charger id from one address in a minute, past which it is answered 429 without looking;
# ten times as many for all ids from one address. 0: any number.
OCPP_REFUSALS_PER_MINUTE = _from_zero("OCPP_REFUSALS_PER_MINUTE", 60, 1_000_000)
OCPP_REQUIRE_SUBPROTOCOL = _read(env.bool, "OCPP_REQUIRE_SUBPROTOCOL", True)
OCPP_HEARTBEAT_INTERVAL = _positive("OCPP_HEARTBEAT_INTERVAL", 300)
OCPP_BOOT_RETRY_INTERVAL = _positive("OCPP_BOOT_RETRY_INTERVAL", 60)
# Seconds between two pings (0: none), and until a charger that sends nothing after a ping is disconnected.
OCPP_PING_INTERVAL = _from_zero("OCPP_PING_INTERVAL", 20, 3600)
OCPP_PING_TIMEOUT = _positive("OCPP_PING_TIMEOUT", 20, most=3600)
# Seconds for which a new socket that has sent no CALL is sent no command; 0: it is sent at once.
OCPP_BOOT_WAIT = _from_zero("OCPP_BOOT_WAIT", 10, 3600)
OCPP_LARGEST_MESSAGE = _positive("OCPP_LARGEST_MESSAGE", 8, most=64) * 2**20  # MiB in the environment
# Which messages of a charger are kept that does not say so itself, see chargers.message_log.
OCPP_MESSAGE_LOG = _read(
    env.str,
    "OCPP_MESSAGE_LOG",
    "all" if LOCAL else "errors",
    validate=validate.OneOf(["off", "errors", "all"]),
)
# How payloads are read that break their schema: repaired where that is possible, or refused. See chargers.tolerance.
OCPP_VALIDATION = _read(env.str, "OCPP_VALIDATION", "lenient", validate=validate.OneOf(["lenient", "strict"]))
# Python modules that register functions for DataTransfer, see chargers.vendors.
OCPP_VENDOR_MODULES = _read(env.list, "OCPP_VENDOR_MODULES", [])
# The organisation that owns the chargers: O of their certificates (security whitepaper, CpoName).
OCPP_CPO_NAME = _read(env.str, "OCPP_CPO_NAME", "OCPP central system", validate=validate.Length(min=1, max=64))
# --- budgets of each charger, see chargers.budgets; 0: without limit -------------------------
OCPP_MESSAGES_PER_SECOND = _from_zero("OCPP_MESSAGES_PER_SECOND", 100)
OCPP_ROWS_PER_MINUTE = _from_zero("OCPP_ROWS_PER_MINUTE", 60_000)
OCPP_TRANSACTION_MESSAGES_PER_MINUTE = _from_zero("OCPP_TRANSACTION_MESSAGES_PER_MINUTE", 300)
OCPP_MOST_SAMPLES = _from_zero("OCPP_MOST_SAMPLES", 20_000)
OCPP_MOST_CONNECTORS = _from_zero("OCPP_MOST_CONNECTORS", 128)
OCPP_MOST_UNKNOWN_TAGS = _from_zero("OCPP_MOST_UNKNOWN_TAGS", 1000)
OCPP_MOST_UNKNOWN_TAGS_IN_ALL = _from_zero("OCPP_MOST_UNKNOWN_TAGS_IN_ALL", 100_000)
OCPP_MOST_UNAPPLIED_MESSAGES = _from_zero("OCPP_MOST_UNAPPLIED_MESSAGES", 10_000)
OCPP_SECURITY_EVENTS_PER_HOUR = _from_zero("OCPP_SECURITY_EVENTS_PER_HOUR", 1000)
OCPP_DATA_TRANSFERS_PER_HOUR = _from_zero("OCPP_DATA_TRANSFERS_PER_HOUR", 3600)
OCPP_CERTIFICATE_REQUESTS_PER_HOUR = _from_zero("OCPP_CERTIFICATE_REQUESTS_PER_HOUR", 60)
OCPP_MOST_CONFIGURATION_KEYS = _from_zero("OCPP_MOST_CONFIGURATION_KEYS", 1000)
OCPP_MOST_FINDINGS = _from_zero("OCPP_MOST_FINDINGS", 300)
# --- how long what is kept is kept: in days, 0 for ever ---------------------------------------
# Which table goes by which of them is said in commands.retention.
OCPP_METER_VALUES_RETENTION = _days("OCPP_METER_VALUES_RETENTION", 0)
OCPP_COMMANDS_RETENTION = _days("OCPP_COMMANDS_RETENTION", 0)
OCPP_AUDIT_RETENTION = _days("OCPP_AUDIT_RETENTION", 0)
OCPP_EVENTS_RETENTION = _days("OCPP_EVENTS_RETENTION", 30)
OCPP_MESSAGES_RETENTION = _days("OCPP_MESSAGES_RETENTION", 14)
OCPP_RESULTS_RETENTION = _days("OCPP_RESULTS_RETENTION", 30)
OCPP_REPORTS_RETENTION = _days("OCPP_REPORTS_RETENTION", 365)
OCPP_SECURITY_RETENTION = _days("OCPP_SECURITY_RETENTION", 365)
OCPP_ORPHAN_STOPS_RETENTION = _days("OCPP_ORPHAN_STOPS_RETENTION", 0)
OCPP_LOGINS_RETENTION = _days("OCPP_LOGINS_RETENTION", 30)
OCPP_FLEET_RETENTION = _days("OCPP_FLEET_RETENTION", 31)

# --- files -----------------------------------------------------------------------------------
# Firmware, uploads and the certificate authority. With several machines: a place that all of them share.
MEDIA_ROOT = Path(_read(env.str, "FILES_DIR", str(BASE_DIR / ".run" / "files")))
CA_DIR = Path(_read(env.str, "CA_DIR", str(MEDIA_ROOT / "ca")))
# PEM files, each a key and its chain, with which the web program ends TLS itself: one RSA, one ECDSA. And whose
# client certificates it believes: those of the authority in CA_DIR, or of the PEM file named here.
TLS_CERTIFICATES = _read(env.list, "TLS_CERTIFICATES", [])
TLS_CLIENT_CA = _read(env.str, "TLS_CLIENT_CA", "")
for _path in [*TLS_CERTIFICATES, *([TLS_CLIENT_CA] if TLS_CLIENT_CA else [])]:
    if not Path(_path).is_file():
        raise ImproperlyConfigured(f"TLS_CERTIFICATES or TLS_CLIENT_CA names {_path}, which is not a file.")
# Whom X-Forwarded-For and -Proto are believed from (uvicorn reads the same variable), and the header in which these
# proxies tell the certificate of a charger that they have verified, e.g. Client-Cert (RFC 9440).
# Nobody by default: whoever reaches the port could say to be anyone, and so evade limits by address.
_PROXIES = _read(env.list, "FORWARDED_ALLOW_IPS", [])
TLS_CLIENT_CERTIFICATE_HEADER = _read(env.str, "TLS_CLIENT_CERTIFICATE_HEADER", "").lower()
TRUSTED_PROXIES = [_network("FORWARDED_ALLOW_IPS", address) for address in _PROXIES if address.strip() != "*"]
FORWARDED_ALLOW_IPS = ",".join(_PROXIES)  # as uvicorn reads it
if "*" in _PROXIES and not LOCAL:
    raise ImproperlyConfigured(
        "FORWARDED_ALLOW_IPS=* believes everyone: where they come from and, with TLS_CLIENT_CERTIFICATE_HEADER, "
        "which charger they are. Name the addresses or networks of your proxies."
    )
# Under which chargers reach us over HTTP(S), to fetch firmware and leave diagnostics.
PUBLIC_URL = _read(env.str, "PUBLIC_URL", f"http://{HOST}:{PORT}" if LOCAL else "").rstrip("/")
if PUBLIC_URL and not PUBLIC_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured("PUBLIC_URL must start with http:// or https://.")
if PUBLIC_URL:  # with or without URL_PREFIX in the environment
    PUBLIC_URL = PUBLIC_URL.removesuffix(URL_PREFIX) + URL_PREFIX
OCPP_FILE_URL_LIFETIME = _positive("OCPP_FILE_URL_LIFETIME", 86_400, most=31_536_000)  # seconds
OCPP_LARGEST_FILE = _positive("OCPP_LARGEST_FILE", 256, most=65_536) * 2**20  # MiB in the environment

# The longest a client may let one command wait for its answer, in seconds.
OCPP_LONGEST_COMMAND_TIMEOUT = 3600.0

# --- who may use the API ---------------------------------------------------------------------
API_AUTH = _read(env.str, "API_AUTH", "token", validate=validate.OneOf(["token", "none"]))
if API_AUTH == "none" and not (LOCAL and HOST in LOOPBACK):
    raise ImproperlyConfigured(
        f"API_AUTH=none opens the API to everyone: it needs DEBUG=1 and a loopback HOST, "
        f"but DEBUG is {LOCAL:d} and HOST is {HOST}. Use API_AUTH=token."
    )

if LOCAL and HOST not in LOOPBACK:
    raise ImproperlyConfigured(
        f"DEBUG=1 is for one's own machine, but HOST is {HOST}, which others reach: set DEBUG=0, or HOST=127.0.0.1."
    )

# Commands that one user may ask for in a minute; 0: any number.
API_COMMANDS_PER_MINUTE = _from_zero("API_COMMANDS_PER_MINUTE", 6000, 10_000_000)
# Of other web sites, whose pages may use the API in a browser, with a token.
CORS_ALLOWED_ORIGINS = _read(env.list, "CORS_ALLOWED_ORIGINS", [])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key"]
CORS_EXPOSE_HEADERS = ["location", "retry-after"]
KNOX_TOKEN_MODEL = "chargers.ApiToken"
MIGRATION_MODULES = {"knox": None}  # they would make the table of the model that ours replaces
# An address from which LOGIN_FAILURES logins failed must wait; a form that is filled in by hand needs no more.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = _positive("LOGIN_FAILURES", 10)
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_RESET_ON_SUCCESS = False  # else whoever may log in could guess others' passwords without end
AXES_DISABLE_ACCESS_LOG = True  # chargers.audit has it
AXES_VERBOSE = False

# --- database, Redis, channel layer, Celery --------------------------------------------------
DATABASE_URL = _read(env.str, "DATABASE_URL", "postgres://ocpp@127.0.0.1:5432/ocpp")
REDIS_URL = _read(env.str, "REDIS_URL", "redis://127.0.0.1:6379/0")

try:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL)}
except ValueError as error:
    raise ImproperlyConfigured(f"Environment variable DATABASE_URL cannot be used: {error}") from error
if DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must be a postgres:// URL: PostgreSQL is what is supported.")
# A connection is borrowed for a request, a batch or a step of a task, and given back while it waits.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # a restarted PostgreSQL leaves dead ones in the pool
# What is hot asks to be prepared (chargers.bulk_sql), nothing else is; with Django's default, None, psycopg would
# prepare nothing even if asked to.
DATABASES["default"].setdefault("OPTIONS", {})["prepare_threshold"] = 2**31
DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1,
    "max_size": 20,
    "timeout": 5,
    "reconnect_timeout": 2,
}

BROKER = _read(env.str, "BROKER_URL", "") or REDIS_URL  # Celery, asked for its settings, parses each …BROKER_URL


def _sentinels(name, url, also=""):
    """The `Sentinels` of the variable `name`, None where it names one server."""
    if not url.startswith(redis_url.SCHEMES):
        raise ImproperlyConfigured(f"{name} must start with redis://, rediss://, unix:// or sentinel://{also}.")
    try:
        return redis_url.sentinels(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"Environment variable {name} cannot be used: {error}") from error


REDIS_SENTINELS = _sentinels("REDIS_URL", REDIS_URL)  # for chargers.redis


# A server that vanished without a word (its machine went down) is given up after some 10 s; Linux alone would
# wait a quarter of an hour, and a socket that only listens, two.
GONE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
GONE = {getattr(socket, option): value for option, value in GONE.items() if hasattr(socket, option)}


def _layer_host(url):
    """One entry of the layer's hosts."""
    host = {
        # redis-py ends a silent read after 5 s unless told otherwise; a quiet layer is not a fault, a dead one is.
        "socket_timeout": None,
        "socket_connect_timeout": 3,
        # redis-py takes the kernel's own "timed out" for silence and notices at its next PING alone.
        "health_check_interval": 10,
    }
    if not url.startswith("unix://"):
        host |= {"socket_keepalive": True, "socket_keepalive_options": GONE}
    if known := REDIS_SENTINELS:
        nodes = {"sentinels": known.nodes, "master_name": known.master, "sentinel_kwargs": known.asking}
        return host | nodes | known.options
    return host | {"address": url}


CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [_layer_host(REDIS_URL)], "prefix": "ocpp"},
    }
}

_REDIS_BROKER = {
    # Redis hands a task that was not acknowledged to a second worker after this long: longer than any wait.
    "visibility_timeout": int(OCPP_QUEUE_TIMEOUT + OCPP_LONGEST_COMMAND_TIMEOUT) + 600,
    "socket_connect_timeout": 3,
    "socket_timeout": 10,
    # Each task under way acknowledges over a connection of its own; the default is 10.
    "max_connections": WORKER_CONCURRENCY + 100,
    # A BRPOP that stays silent this much longer than its second is dropped; the default is 25.
    "health_check_interval": 5,
}


def _broker(url):
    """Celery's own spelling of a URL, and the options of its transport."""
    if url.startswith(("amqp://", "amqps://")):
        # No publisher confirms: what the broker loses, the sweep enqueues again; and a broker short of memory
        # or disk would hold every submission for 40 s.
        return url, {"connect_timeout": 3, "read_timeout": 10, "write_timeout": 10}
    if known := _sentinels("BROKER_URL", url, also=", amqp:// or amqps://"):
        return known.broker_url, _REDIS_BROKER | {"master_name": known.master, "sentinel_kwargs": known.asking}
    if url.startswith("unix://"):  # Celery calls it `redis+socket://`
        path, _, query = url.removeprefix("unix://").partition("?")
        url = f"redis+socket://{path}?virtual_host={query.removeprefix('db=') or 0}"
    return url, _REDIS_BROKER


CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = _broker(BROKER)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_EXPIRES = None  # commands.housekeeping deletes them
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
BUILT_IN = "built-in: "  # a step of that name which is not below is removed from the table, see config.celery
NOTE_FLEET = {"task": "dashboard.note_minute", "schedule": crontab(), "options": {"expire_seconds": 50}}
CELERY_BEAT_SCHEDULE = {
    f"{BUILT_IN}keep house": {"task": "commands.keep_house", "schedule": crontab(minute=7)},
    f"{BUILT_IN}note the fleet": NOTE_FLEET,
}
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- Django ----------------------------------------------------------------------------------
INSTALLED_APPS = [
    "config.apps.DeclaredAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "knox",
    "axes",
    "corsheaders",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_results",
    "django_celery_beat",
    "chargers",
    "transactions",
    "commands",
    "config.dashboard",
]
MIDDLEWARE = [
    "chargers.audit.remember_request",
    "config.headers.policy",
    "config.zone.activated",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
if OTEL_EXPORTER_OTLP_ENDPOINT:
    MIDDLEWARE.insert(0, "config.tracing.requests")
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.zone.named",
                "config.readiness.shown",
            ]
        },
    }
]
ROOT_URLCONF = "config.urls"
LOGIN_URL = "dashboard:login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "dashboard:fleet"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# A POST to a path without its slash must be told so, not redirected into a GET.
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"  # of REST, tasks and management commands; `config.zone` has TIME_ZONE_DISPLAY for pages
USE_I18N = False
FORMAT_MODULE_PATH = ["config.formats"]
STATIC_URL = f"{URL_PREFIX}/static/"
STATIC_ROOT = BASE_DIR / "static"
# Straight from the packages, unless `manage.py collectstatic` has gathered them (the container image does).
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
if WHITENOISE_USE_FINDERS:
    warnings.filterwarnings("ignore", "No directory at")
X_FRAME_OPTIONS = "DENY"
# Behind a proxy that ends TLS. SECURE_SSL=0 is for those who serve plain HTTP inside a closed network.
SECURE_SSL = _read(env.bool, "SECURE_SSL", not LOCAL)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_SSL else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL
SECURE_REDIRECT_EXEMPT = [f"^{re.escape(f'{URL_PREFIX}/{name}'.lstrip('/'))}$" for name in ("healthz", "readyz")]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_SSL else 0
# HSTS for this host alone: its neighbours under the same domain are not ours to decide about.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
CSRF_TRUSTED_ORIGINS = _read(env.list, "CSRF_TRUSTED_ORIGINS", [])

_authenticated = API_AUTH == "token"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "chargers.access.Tokens",
        "rest_framework.authentication.SessionAuthentication",
    ]
    if _authenticated
    else [],
    "DEFAULT_PERMISSION_CLASSES": ["chargers.access.Permitted"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["chargers.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "chargers.negotiation.AnyAccepted",
    "DEFAULT_PAGINATION_CLASS": "chargers.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": ["chargers.filters.Backend"],
    "DEFAULT_SCHEMA_CLASS": "chargers.openapi.Schema",
    "EXCEPTION_HANDLER": "chargers.errors.api_error",
}
SPECTACULAR_SETTINGS = {
    "ENUM_NAME_OVERRIDES": {
        "EventKindEnum": "chargers.models.events.KINDS",
        "MessageKindEnum": "chargers.models.messages.KINDS",
    },
    "TITLE": "OCPP 1.6-J central system",
    "DESCRIPTION": "Chargers, transactions and commands. Every command is a job: POST it, then poll its task.",
    "VERSION": "0.1.0",
    "SERVERS": [{"url": URL_PREFIX}] if URL_PREFIX else [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["chargers.access.LoggedIn"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LOGGING = logs.settings(LOG_FORMAT)
logging.captureWarnings(True)  # a warning is a line of the log like any other
# WhiteNoise sends a static file in one piece: they are small.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")
