"""All settings. Each is read from the environment once; an invalid value stops the start with its name."""

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
from typing import Any

import dj_database_url
from celery.schedules import crontab
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env, validate
from environs.exceptions import EnvError

from config import logs, redis_url
from core import zones
from core.http.subjects import TAGS

BASE_DIR = Path(__file__).resolve().parent.parent
LOOPBACK = ("127.0.0.1", "::1", "localhost")
EVERYWHERE = ("0.0.0.0/0", "::/0")

env = Env()


def _read(parse: Any, name: str, default: Any, **options: Any) -> Any:
    """The parsed variable `name`, or `default`. Raise `ImproperlyConfigured`, which names it, if it is invalid."""
    try:
        return parse(name, default, **options)
    except (EnvError, ValueError) as error:
        raise ImproperlyConfigured(f"The environment variable {name} is invalid: {error}") from error


def _positive(name: str, default: Any, parse: Any = env.int, limit: float = 86_400) -> Any:
    return _read(parse, name, default, validate=validate.Range(min=1, max=limit))


def _from_zero(name: str, default: Any, limit: float = 1_000_000_000) -> Any:
    return _read(env.int, name, default, validate=validate.Range(0, limit))


def _days(name: str, default: Any) -> Any:
    return _from_zero(name, default, 36_500)


def _network(name: str, text: str) -> Any:
    """The IP network `text`. Raise `ImproperlyConfigured`, which names `name`, if it is invalid or every address."""
    try:
        network = ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise ImproperlyConfigured(f"The environment variable {name} is invalid: {error}.") from error
    if network.prefixlen == 0 and not LOCAL:
        raise ImproperlyConfigured(f"{name} contains {text}, which is every address. Name only your own networks.")
    return network


# --- addresses, secrets, hosts ---------------------------------------------------------------
# DEBUG=1 means a developer's own machine. Django's DEBUG stays off even then, because its pages show stack traces and
# it stores every query in memory.
LOCAL = _read(env.bool, "DEBUG", False)
DEBUG = False
HOST = _read(env.str, "HOST", "127.0.0.1")
PORT = _positive("PORT", 8000, limit=65_535)
FLOWER_PORT = _positive("FLOWER_PORT", 5555, limit=65_535)
WEB_CONCURRENCY = _positive("WEB_CONCURRENCY", 2)
WORKERS = _positive("WORKERS", 1)
WORKER_CONCURRENCY = _positive("WORKER_CONCURRENCY", 1000)

SECRET_KEY = _read(env.str, "SECRET_KEY", "")
MIN_SECRET_LENGTH = 24
if SECRET_KEY == "none":  # for a program that signs nothing, such as Celery beat
    SECRET_KEY = secrets.token_hex(32)
    if _read(env.str, "SECRETS_KEYS", "") != "none":
        raise ImproperlyConfigured("SECRET_KEY=none is for programs without secrets: set SECRETS_KEYS=none as well.")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Set it to a long random string; `make run` generates one.")
if not LOCAL and (len(SECRET_KEY) < MIN_SECRET_LENGTH or len(set(SECRET_KEY)) < 8 or "insecure" in SECRET_KEY):
    raise ImproperlyConfigured(
        "SECRET_KEY is easy to guess, so that sessions and links could be forged. Set it to at least "
        f"{MIN_SECRET_LENGTH} random characters: `python3 -c 'import secrets; print(secrets.token_hex(32))'`."
    )
# Fernet keys for the secrets in the database, see core.db.sealing. The first encrypts, all decrypt.
_NEW_KEY = "python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"


def _secrets_keys(keys: Any) -> Any:
    """The Fernet keys for `keys`. Raise `ImproperlyConfigured` if one is invalid or easy to guess.

    `none` means no keys, for a program that neither sends nor stores secrets. Without any keys, derive one from
    SECRET_KEY; `chargers.checks` warns of this.
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
                f"SECRETS_KEYS is invalid: key {number} of {len(keys)} is not 32 bytes in URL-safe Base64. "
                f"A new key: `{_NEW_KEY}`."
            ) from error
        if not LOCAL and len(set(urlsafe_b64decode(key))) < 8:
            raise ImproperlyConfigured(f"SECRETS_KEYS: key {number} is easy to guess. A new key: `{_NEW_KEY}`.")
    return keys


SECRETS_KEYS_ARE_DERIVED = not _read(env.str, "SECRETS_KEYS", "").strip(" ,")
SECRETS_KEYS = _secrets_keys([key.strip() for key in _read(env.list, "SECRETS_KEYS", []) if key.strip()])
# The path, such as /csms, below which a proxy serves all URLs. The proxy may remove it or pass it on.
URL_PREFIX = _read(env.str, "URL_PREFIX", "").rstrip("/")
OWN_PATHS = (
    *("account", "add-charger", "admin", "api", "batches", "campaigns", "chargers", "commands", "curves", "files"),
    *("firmware", "incidents", "language", "limits", "live", "login", "logout", "messages", "notification-rules"),
    *("refused", "reports", "schedules", "settings", "sites", "static", "tags", "transactions", "users", "webhooks"),
    "ws",
)
if URL_PREFIX and (not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", URL_PREFIX) or URL_PREFIX.split("/")[1] in OWN_PATHS):
    raise ImproperlyConfigured(
        f"URL_PREFIX is {URL_PREFIX}, which is invalid. It must be a path such as /csms, of letters, digits and "
        "._~-, and must not begin with a path of this program such as /api."
    )
FORCE_SCRIPT_NAME = URL_PREFIX or None
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = URL_PREFIX or "/"
ALLOWED_HOSTS = _read(env.list, "ALLOWED_HOSTS", list(LOOPBACK) if LOCAL else [])

# The time zone of times and days on pages, in the admin and in exports. REST and OCPP always use UTC.
TIME_ZONE_DISPLAY = _read(env.str, "TIME_ZONE_DISPLAY", "") or "UTC"
if TIME_ZONE_DISPLAY not in zones.NAMES:
    raise ImproperlyConfigured(
        f"TIME_ZONE_DISPLAY is {TIME_ZONE_DISPLAY!r}, which is no time zone. Use a name of the IANA database, "
        "such as UTC, Europe/Berlin or America/Denver."
    )

# Empty: the map of the sites has the outlines of countries alone, and browsers load nothing from other servers.
MAP_TILES_URL = _read(env.str, "MAP_TILES_URL", "")
MAP_TILES_ATTRIBUTION = _read(env.str, "MAP_TILES_ATTRIBUTION", "")
if MAP_TILES_URL and not re.fullmatch(r"https?://[\w.:-]+/[^\s;,'\"]*", MAP_TILES_URL):
    raise ImproperlyConfigured("MAP_TILES_URL must be such as https://tiles.example.com/{z}/{x}/{y}.png")

# --- logs and traces -------------------------------------------------------------------------
LOG_FORMAT = _read(env.str, "LOG_FORMAT", "line", validate=validate.OneOf(["line", "json"]))
# The URL, without /v1/traces, of a collector that accepts OTLP over HTTP. If it is empty, no traces are recorded.
OTEL_EXPORTER_OTLP_ENDPOINT = _read(env.str, "OTEL_EXPORTER_OTLP_ENDPOINT", "").rstrip("/")
if OTEL_EXPORTER_OTLP_ENDPOINT and not OTEL_EXPORTER_OTLP_ENDPOINT.startswith(("http://", "https://")):
    raise ImproperlyConfigured(
        "OTEL_EXPORTER_OTLP_ENDPOINT must start with http:// or https://, because traces are sent by OTLP over "
        "HTTP. An example: http://collector:4318."
    )
OTEL_SERVICE_NAME = _read(env.str, "OTEL_SERVICE_NAME", "ocpp-central-system")

# Whether webhooks may be sent to this machine and to private networks, see core.http.outward.
WEBHOOK_ALLOW_PRIVATE = _read(env.bool, "WEBHOOK_ALLOW_PRIVATE", LOCAL)

# --- e-mail ----------------------------------------------------------------------------------
# The mail server for notifications of incidents. Without EMAIL_HOST no mail is sent.
EMAIL_HOST = _read(env.str, "EMAIL_HOST", "")
EMAIL_USE_SSL = _read(env.bool, "EMAIL_USE_SSL", False)
EMAIL_USE_TLS = _read(env.bool, "EMAIL_USE_TLS", False)
if EMAIL_USE_SSL and EMAIL_USE_TLS:
    raise ImproperlyConfigured("Set EMAIL_USE_SSL (TLS from the start) or EMAIL_USE_TLS (STARTTLS), not both.")
EMAIL_PORT = _positive("EMAIL_PORT", 465 if EMAIL_USE_SSL else 587 if EMAIL_USE_TLS else 25, limit=65_535)
EMAIL_HOST_USER = _read(env.str, "EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = _read(env.str, "EMAIL_HOST_PASSWORD", "")
EMAIL_TIMEOUT = 10  # seconds for each step of the dialogue
DEFAULT_FROM_EMAIL = _read(env.str, "EMAIL_FROM", "") or f"ocpp@{socket.gethostname()}"

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
        "OCPP_UNKNOWN_CHARGERS=accept allows anyone to connect as any charger, so it requires DEBUG=1 and a loopback "
        "HOST. Set OCPP_UNKNOWN_CHARGERS=reject and create the chargers over REST or in the admin."
    )
# Networks from which a charger without a key or a certificate is accepted (security profile 0).
OCPP_OPEN_NETWORKS = [
    _network("OCPP_OPEN_NETWORKS", network)
    for network in _read(env.list, "OCPP_OPEN_NETWORKS", list(EVERYWHERE) if LOCAL else [])
]
# After this many refused handshakes in a minute for one charger id from one address, further ones get 429 without a
# check of their credentials. The limit for all ids from one address is ten times as high. 0: no limit.
OCPP_REFUSALS_PER_MINUTE = _from_zero("OCPP_REFUSALS_PER_MINUTE", 60, 1_000_000)
OCPP_REQUIRE_SUBPROTOCOL = _read(env.bool, "OCPP_REQUIRE_SUBPROTOCOL", True)
OCPP_HEARTBEAT_INTERVAL = _positive("OCPP_HEARTBEAT_INTERVAL", 300)
OCPP_BOOT_RETRY_INTERVAL = _positive("OCPP_BOOT_RETRY_INTERVAL", 60)
# Seconds between two pings (0: no pings), and until a charger that sends nothing after a ping is disconnected.
OCPP_PING_INTERVAL = _from_zero("OCPP_PING_INTERVAL", 20, 3600)
OCPP_PING_TIMEOUT = _positive("OCPP_PING_TIMEOUT", 20, limit=3600)
# Seconds for which commands wait on a new socket that has sent no CALL; 0: they are sent at once.
OCPP_BOOT_WAIT = _from_zero("OCPP_BOOT_WAIT", 10, 3600)
# Seconds after a command or a boot until a charger may be sent a command that reads back an effect; 0: none is sent.
OCPP_READ_BACK_SECONDS = _from_zero("OCPP_READ_BACK_SECONDS", 10, 240)
OCPP_LARGEST_MESSAGE = _positive("OCPP_LARGEST_MESSAGE", 8, limit=64) * 2**20  # MiB in the environment
# Subprotocols on whose sockets messages are compressed, if the charger offers it (RFC 7692). OCPP 2.0.1 requires it
# (part 4, §3.3); OCPP 1.6 does not mention it.
OCPP_COMPRESSION = _read(
    env.list,
    "OCPP_COMPRESSION",
    ["ocpp2.0.1"],
    validate=validate.ContainsOnly(["ocpp1.6", "ocpp2.0.1"]),
)
# Which messages are stored of chargers that have no setting of their own, see gateway.message_log.
OCPP_MESSAGE_LOG = _read(
    env.str,
    "OCPP_MESSAGE_LOG",
    "all" if LOCAL else "errors",
    validate=validate.OneOf(["off", "errors", "all"]),
)
# Payloads that break their schema are repaired where possible (lenient) or refused (strict), see core.ocpp.tolerance.
OCPP_VALIDATION = _read(env.str, "OCPP_VALIDATION", "lenient", validate=validate.OneOf(["lenient", "strict"]))
# Python modules that register functions for DataTransfer, see gateway.vendors.
OCPP_VENDOR_MODULES = _read(env.list, "OCPP_VENDOR_MODULES", [])
# Minutes after which a charger without a connection, or one that is connected and sends nothing, is an incident.
OCPP_OFFLINE_MINUTES = _positive("OCPP_OFFLINE_MINUTES", 10)
OCPP_SILENT_MINUTES = _positive("OCPP_SILENT_MINUTES", 30)
# A CSV file with what the error codes of manufacturers mean, see chargers.error_codes.
OCPP_ERROR_CODES = _read(env.str, "OCPP_ERROR_CODES", "")
if OCPP_ERROR_CODES and not Path(OCPP_ERROR_CODES).is_file():
    raise ImproperlyConfigured(f"OCPP_ERROR_CODES is {OCPP_ERROR_CODES}, which is not a file.")
# The organisation that owns the chargers: O of their certificates (security whitepaper, CpoName).
OCPP_CERTIFICATE_RENEWAL_DAYS = _from_zero("OCPP_CERTIFICATE_RENEWAL_DAYS", 30, 365)
OCPP_CPO_NAME = _read(env.str, "OCPP_CPO_NAME", "OCPP central system", validate=validate.Length(min=1, max=64))
# --- budgets per charger, see chargers.services.budgets; 0: no limit ----------------------------------
OCPP_MESSAGES_PER_SECOND = _from_zero("OCPP_MESSAGES_PER_SECOND", 100)
OCPP_ROWS_PER_MINUTE = _from_zero("OCPP_ROWS_PER_MINUTE", 60_000)
OCPP_TRANSACTION_MESSAGES_PER_MINUTE = _from_zero("OCPP_TRANSACTION_MESSAGES_PER_MINUTE", 300)
OCPP_MOST_SAMPLES = _from_zero("OCPP_MOST_SAMPLES", 20_000)
OCPP_MOST_CONNECTORS = _from_zero("OCPP_MOST_CONNECTORS", 128)
OCPP_MOST_UNKNOWN_TAGS = _from_zero("OCPP_MOST_UNKNOWN_TAGS", 1000)
OCPP_MOST_UNKNOWN_TAGS_IN_ALL = _from_zero("OCPP_MOST_UNKNOWN_TAGS_IN_ALL", 100_000)
OCPP_MOST_UNAPPLIED_MESSAGES = _from_zero("OCPP_MOST_UNAPPLIED_MESSAGES", 10_000)
OCPP_SECURITY_EVENTS_PER_HOUR = _from_zero("OCPP_SECURITY_EVENTS_PER_HOUR", 1000)
OCPP_MONITORING_EVENTS_PER_HOUR = _from_zero("OCPP_MONITORING_EVENTS_PER_HOUR", 3600)
OCPP_MOST_MONITORS = _from_zero("OCPP_MOST_MONITORS", 1000)
OCPP_DATA_TRANSFERS_PER_HOUR = _from_zero("OCPP_DATA_TRANSFERS_PER_HOUR", 3600)
OCPP_CERTIFICATE_REQUESTS_PER_HOUR = _from_zero("OCPP_CERTIFICATE_REQUESTS_PER_HOUR", 60)
OCPP_CERTIFICATE_CHECKS_PER_HOUR = _from_zero("OCPP_CERTIFICATE_CHECKS_PER_HOUR", 600)
OCPP_MOST_CONFIGURATION_KEYS = _from_zero("OCPP_MOST_CONFIGURATION_KEYS", 10_000)
OCPP_MOST_FINDINGS = _from_zero("OCPP_MOST_FINDINGS", 300)
# --- retention of stored data, in days; 0: never deleted --------------------------------------
# commands.services.retention assigns them to tables.
OCPP_METER_VALUES_RETENTION = _days("OCPP_METER_VALUES_RETENTION", 0)
OCPP_COMMANDS_RETENTION = _days("OCPP_COMMANDS_RETENTION", 0)
OCPP_AUDIT_RETENTION = _days("OCPP_AUDIT_RETENTION", 0)
OCPP_EVENTS_RETENTION = _days("OCPP_EVENTS_RETENTION", 30)
OCPP_MESSAGES_RETENTION = _days("OCPP_MESSAGES_RETENTION", 14)
OCPP_RESULTS_RETENTION = _days("OCPP_RESULTS_RETENTION", 30)
OCPP_REPORTS_RETENTION = _days("OCPP_REPORTS_RETENTION", 365)
OCPP_SECURITY_RETENTION = _days("OCPP_SECURITY_RETENTION", 365)
OCPP_ORPHAN_STOPS_RETENTION = _days("OCPP_ORPHAN_STOPS_RETENTION", 0)
OCPP_INCIDENTS_RETENTION = _days("OCPP_INCIDENTS_RETENTION", 365)
OCPP_LOGINS_RETENTION = _days("OCPP_LOGINS_RETENTION", 30)
OCPP_OUTAGES_RETENTION = _days("OCPP_OUTAGES_RETENTION", 800)
OCPP_FLEET_RETENTION = _days("OCPP_FLEET_RETENTION", 31)

# --- files -----------------------------------------------------------------------------------
# Firmware, uploads and the certificate authority. Several machines must share this folder.
MEDIA_ROOT = Path(_read(env.str, "FILES_DIR", str(BASE_DIR / ".run" / "files")))
CA_DIR = Path(_read(env.str, "CA_DIR", str(MEDIA_ROOT / "ca")))
# PEM files, each a key and its chain, one RSA and one ECDSA, with which the web program terminates TLS itself.
# TLS_CLIENT_CA is a PEM file with the authorities of client certificates; by default it is the authority in CA_DIR.
TLS_CERTIFICATES = _read(env.list, "TLS_CERTIFICATES", [])
TLS_CLIENT_CA = _read(env.str, "TLS_CLIENT_CA", "")
for _path in [*TLS_CERTIFICATES, *([TLS_CLIENT_CA] if TLS_CLIENT_CA else [])]:
    if not Path(_path).is_file():
        raise ImproperlyConfigured(f"TLS_CERTIFICATES or TLS_CLIENT_CA names {_path}, which is not a file.")
# Addresses of the proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted (uvicorn reads the same variable),
# and the header in which they pass on the verified certificate of a charger, e.g. Client-Cert (RFC 9440).
# No address is trusted by default, because any client could forge these headers and so evade limits by address.
_PROXIES = _read(env.list, "FORWARDED_ALLOW_IPS", [])
TLS_CLIENT_CERTIFICATE_HEADER = _read(env.str, "TLS_CLIENT_CERTIFICATE_HEADER", "").lower()
TRUSTED_PROXIES = [_network("FORWARDED_ALLOW_IPS", address) for address in _PROXIES if address.strip() != "*"]
FORWARDED_ALLOW_IPS = ",".join(_PROXIES)  # as uvicorn reads it
if "*" in _PROXIES and not LOCAL:
    raise ImproperlyConfigured(
        "FORWARDED_ALLOW_IPS=* trusts every client: any of them can forge its address and, with "
        "TLS_CLIENT_CERTIFICATE_HEADER, be any charger. Name the addresses or networks of your proxies."
    )
# The HTTP(S) URL at which chargers reach this server, to download firmware and upload diagnostics.
PUBLIC_URL = _read(env.str, "PUBLIC_URL", f"http://{HOST}:{PORT}" if LOCAL else "").rstrip("/")
if PUBLIC_URL and not PUBLIC_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured("PUBLIC_URL must start with http:// or https://.")
if PUBLIC_URL:  # the environment may include URL_PREFIX or not
    PUBLIC_URL = PUBLIC_URL.removesuffix(URL_PREFIX) + URL_PREFIX
# The server that answers requests of cars for contract certificates (ISO 15118), and the token it expects, if any.
ISO15118_PROVIDER_URL = _read(env.str, "ISO15118_PROVIDER_URL", "")
if ISO15118_PROVIDER_URL and not ISO15118_PROVIDER_URL.startswith(("http://", "https://")):
    raise ImproperlyConfigured("ISO15118_PROVIDER_URL must start with http:// or https://.")
ISO15118_PROVIDER_TOKEN = _read(env.str, "ISO15118_PROVIDER_TOKEN", "")
OCPP_FILE_URL_LIFETIME = _positive("OCPP_FILE_URL_LIFETIME", 86_400, limit=31_536_000)  # seconds
OCPP_LARGEST_FILE = _positive("OCPP_LARGEST_FILE", 256, limit=65_536) * 2**20  # MiB in the environment

# The largest timeout in seconds that a client may set for the answer to a command.
OCPP_LONGEST_COMMAND_TIMEOUT = 3600.0

# --- access to the API and the pages ---------------------------------------------------------
API_AUTH = _read(env.str, "API_AUTH", "token", validate=validate.OneOf(["token", "none"]))
if API_AUTH == "none" and not (LOCAL and HOST in LOOPBACK):
    raise ImproperlyConfigured(
        "API_AUTH=none opens the API to everyone, so it requires DEBUG=1 and a loopback HOST, "
        f"but DEBUG is {LOCAL:d} and HOST is {HOST}. Set API_AUTH=token."
    )

if LOCAL and HOST not in LOOPBACK:
    raise ImproperlyConfigured(
        f"DEBUG=1 is for development on one machine, but other machines can reach HOST={HOST}. "
        "Set DEBUG=0 or HOST=127.0.0.1."
    )

# Commands that one user may submit in a minute; 0: no limit.
API_COMMANDS_PER_MINUTE = _from_zero("API_COMMANDS_PER_MINUTE", 6000, 10_000_000)
# Origins of other web sites whose pages may use the API in a browser, with a token.
CORS_ALLOWED_ORIGINS = _read(env.list, "CORS_ALLOWED_ORIGINS", [])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key"]
CORS_EXPOSE_HEADERS = ["location", "retry-after"]
KNOX_TOKEN_MODEL = "chargers.ApiToken"
MIGRATION_MODULES = {"knox": None}  # because they would create a table that chargers.ApiToken replaces
# After LOGIN_FAILURES failed logins an address must wait, which stops programs that guess passwords.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = _positive("LOGIN_FAILURES", 10)
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_RESET_ON_SUCCESS = False  # otherwise a user could reset the count and go on guessing passwords of others
AXES_DISABLE_ACCESS_LOG = True  # chargers.services.audit records logins
AXES_VERBOSE = False

# --- database, Redis, channel layer, Celery --------------------------------------------------
DATABASE_URL = _read(env.str, "DATABASE_URL", "postgres://ocpp@127.0.0.1:5432/ocpp")
REDIS_URL = _read(env.str, "REDIS_URL", "redis://127.0.0.1:6379/0")

try:
    DATABASES = {"default": dj_database_url.parse(DATABASE_URL)}
except ValueError as error:
    raise ImproperlyConfigured(f"The environment variable DATABASE_URL is invalid: {error}") from error
if DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must be a postgres:// URL, because only PostgreSQL is supported.")
# A request, a batch or a step of a task takes a connection from the pool, and returns it before it waits. The backend
# replaces connections that a restart of PostgreSQL has ended.
DATABASES["default"]["ENGINE"] = "core.db.postgresql"
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "min_size": 1,
    "max_size": 20,
    "timeout": 5,
    "reconnect_timeout": 2,
}

BROKER = _read(env.str, "BROKER_URL", "") or REDIS_URL  # BROKER_URL is a setting of Celery


def _sentinels(name: str, url: str, also: str = "") -> Any:
    """The `Sentinels` in the `url` of the variable `name`, None if it names one server."""
    if not url.startswith(redis_url.SCHEMES):
        raise ImproperlyConfigured(f"{name} must start with redis://, rediss://, unix:// or sentinel://{also}.")
    try:
        return redis_url.sentinels(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"The environment variable {name} is invalid: {error}") from error


REDIS_SENTINELS = _sentinels("REDIS_URL", REDIS_URL)  # for core.redis.connections


# Connections to a server whose machine went down end after some 10 s. By default, Linux waits 15 minutes for an
# acknowledgement, and two hours on a connection that only reads.
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
KEEPALIVE = {getattr(socket, option): value for option, value in KEEPALIVE.items() if hasattr(socket, option)}


def _layer_host(url: str) -> Any:
    """The entry for `url` in `hosts` of the channel layer."""
    host: dict[str, Any] = {
        # By default redis-py ends a read after 5 s, but a channel layer without messages is no fault.
        "socket_timeout": None,
        "socket_connect_timeout": 3,
        # redis-py takes the kernel's "timed out" for a lack of messages, and finds a dead connection only by PING.
        "health_check_interval": 10,
    }
    if not url.startswith("unix://"):
        host |= {"socket_keepalive": True, "socket_keepalive_options": KEEPALIVE}
    if sentinels := REDIS_SENTINELS:
        nodes = {"sentinels": sentinels.nodes, "master_name": sentinels.master}
        return host | nodes | {"sentinel_kwargs": sentinels.sentinel_options} | sentinels.options
    return host | {"address": url}


CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [_layer_host(REDIS_URL)], "prefix": "ocpp"},
    }
}

_REDIS_BROKER = {
    # Seconds after which an unacknowledged task is delivered again; must be longer than a task can wait.
    "visibility_timeout": int(OCPP_QUEUE_TIMEOUT + OCPP_LONGEST_COMMAND_TIMEOUT) + 600,
    "socket_connect_timeout": 3,
    "socket_timeout": 10,
    # Each running task acknowledges over its own connection; the default of 10 is too low.
    "max_connections": WORKER_CONCURRENCY + 100,
    # Seconds after which a BRPOP without an answer is dropped; the default is 25.
    "health_check_interval": 5,
}


def _broker(url: str) -> tuple[str, dict[str, Any]]:
    """The broker URL in Celery's spelling, and the options of its transport."""
    if url.startswith(("amqp://", "amqps://")):
        # No publisher confirms, because the sweep enqueues lost tasks again, and because a broker that is short of
        # memory or disk would delay every submission for 40 s.
        return url, {"connect_timeout": 3, "read_timeout": 10, "write_timeout": 10}
    if sentinels := _sentinels("BROKER_URL", url, also=", amqp:// or amqps://"):
        nodes = {"master_name": sentinels.master, "sentinel_kwargs": sentinels.sentinel_options}
        return sentinels.broker_url, _REDIS_BROKER | nodes
    if url.startswith("unix://"):  # Celery calls it `redis+socket://`
        path, _, query = url.removeprefix("unix://").partition("?")
        url = f"redis+socket://{path}?virtual_host={query.removeprefix('db=') or 0}"
    return url, _REDIS_BROKER


CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = _broker(BROKER)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_max": 0.2}
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_RESULT_BACKEND_THREAD_SAFE = True  # otherwise each task, a greenlet, would create a backend
CELERY_RESULT_EXPIRES = None  # commands.services.maintenance deletes them
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
# Steps with this prefix that are no longer in CELERY_BEAT_SCHEDULE are deleted from the table, see config.celery.
BUILT_IN = "built-in: "
RECORD_FLEET = {"task": "dashboard.note_minute", "schedule": crontab(), "options": {"expire_seconds": 50}}
DAY_TOTALS = {"task": "transactions.update_day_totals", "schedule": crontab(), "options": {"expire_seconds": 50}}
COMMAND_TOTALS = {"task": "commands.update_totals", "schedule": crontab(), "options": {"expire_seconds": 50}}
CELERY_BEAT_SCHEDULE = {
    f"{BUILT_IN}maintenance": {"task": "commands.maintain", "schedule": crontab(minute=7)},
    f"{BUILT_IN}record fleet": RECORD_FLEET,
    f"{BUILT_IN}day totals": DAY_TOTALS,
    f"{BUILT_IN}command totals": COMMAND_TOTALS,
    f"{BUILT_IN}reports by mail": {"task": "dashboard.send_reports", "schedule": crontab(minute="2-59/5")},
    f"{BUILT_IN}outages": {"task": "transactions.update_outages", "schedule": crontab(minute="*/5")},
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
    "gateway",
    "dashboard",
    "tools",
]
MIDDLEWARE = [
    "chargers.services.audit.remember_request",
    "core.http.middleware.policy",
    "core.http.zone.activate",
    "core.http.language.activate",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "dashboard.languages.prefer",
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
                "core.http.zone.time_zone",
                "dashboard.languages.context",
                "dashboard.readiness.context",
                "dashboard.incidents.context",
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
# A POST to a path without its final slash gets 404, because a redirect would turn it into a GET.
APPEND_SLASH = False
USE_TZ = True
TIME_ZONE = "UTC"  # of REST, tasks and management commands; core.http.zone applies TIME_ZONE_DISPLAY to pages
# English is the language of the texts in the code. `core.http.language` applies another one to pages only.
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["config.formats"]
STATIC_URL = f"{URL_PREFIX}/static/"
STATIC_ROOT = BASE_DIR / "static"
# Serve static files from the packages unless `manage.py collectstatic` was run, as in the container image.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.exists()
if WHITENOISE_USE_FINDERS:
    warnings.filterwarnings("ignore", "No directory at")
X_FRAME_OPTIONS = "DENY"
# For a proxy in front that terminates TLS. SECURE_SSL=0 is for plain HTTP in a closed network.
SECURE_SSL = _read(env.bool, "SECURE_SSL", not LOCAL)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_SSL else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL
SECURE_REDIRECT_EXEMPT = [f"^{re.escape(f'{URL_PREFIX}/{name}'.lstrip('/'))}$" for name in ("healthz", "readyz")]
SECURE_HSTS_SECONDS = 31_536_000 if SECURE_SSL else 0
# HSTS applies to this host only, because other hosts of the same domain may not serve TLS.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
CSRF_TRUSTED_ORIGINS = _read(env.list, "CSRF_TRUSTED_ORIGINS", [])

_authenticated = API_AUTH == "token"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "chargers.services.access.Tokens",
        "rest_framework.authentication.SessionAuthentication",
    ]
    if _authenticated
    else [],
    "DEFAULT_PERMISSION_CLASSES": ["chargers.services.access.Permitted"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["core.http.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.http.negotiation.AnyAccepted",
    "DEFAULT_PAGINATION_CLASS": "core.http.pagination.Pages",
    "DEFAULT_FILTER_BACKENDS": ["chargers.api.filters.Backend"],
    "DEFAULT_SCHEMA_CLASS": "core.http.openapi.Schema",
    "EXCEPTION_HANDLER": "core.http.errors.api_error",
}
SPECTACULAR_SETTINGS = {
    "ENUM_NAME_OVERRIDES": {
        "ActionEnum": "commands.actions.table.NAMES",
        "EventKindEnum": "chargers.models.events.KINDS",
        "IncidentKindEnum": "chargers.models.incidents.KINDS",
        "IncidentStateEnum": "chargers.models.incidents.STATES",
        "CampaignStateEnum": "commands.models.campaign.STATES",
        "CampaignItemStateEnum": "commands.models.campaign.CampaignItem.STATES",
        "PowerLimitStateEnum": "commands.api.serializers.power_limits.STATES",
        "MessageKindEnum": "chargers.models.messages.KINDS",
    },
    "TITLE": "OCPP 1.6-J and 2.0.1 central system",
    "DESCRIPTION": "Chargers, transactions and commands. Every command is a job: POST it, then poll its task.",
    "VERSION": "0.1.0",
    "TAGS": TAGS,
    "SERVERS": [{"url": URL_PREFIX}] if URL_PREFIX else [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["chargers.services.access.LoggedIn"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LOGGING = logs.settings(LOG_FORMAT)
logging.captureWarnings(True)
# WhiteNoise sends each static file in one piece, because they are small.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators")
