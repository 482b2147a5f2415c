"""Classify faults of PostgreSQL, Redis and the message broker, and say how to correct each.

/readyz, /metrics, REST and the pages name a fault by the same key.
"""

import errno
from collections.abc import Iterator
from dataclasses import dataclass

from amqp.exceptions import AMQPError
from django.db import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerError
from psycopg import InterfaceError as DriverInterfaceError
from psycopg import OperationalError as DriverError
from redis import exceptions as redis
from redis.exceptions import RedisError

from core.db.faults import by_sqlstate


@dataclass(frozen=True)
class Fault:
    """A sentence about the fault, and one about its correction.

    `{server}` stands for the name of the server, `{variable}` for the environment variable with its address.
    """

    wrong: str
    what_to_do: str


AWAY, HANGING, STARTING, LOGIN_REFUSED = "away", "hanging", "starting", "login_refused"
READ_ONLY, FULL, LOCKED, NO_CONNECTIONS = "read_only", "full", "locked", "no_connections"
OUT_OF_MEMORY, DISK_ERROR, NO_REPLICAS, FAILING = "out_of_memory", "disk_error", "no_replicas", "failing"

DATABASE = {
    AWAY: Fault(
        "{server} can't be reached.",
        "Start it, or correct {variable}. Chargers wait for their answers meanwhile; nothing is lost.",
    ),
    HANGING: Fault(
        "{server} does not answer in time.",
        "Look at the load and the disk of its machine, and at pg_stat_activity. A synchronous standby that is "
        "unavailable delays every commit, too.",
    ),
    STARTING: Fault(
        "{server} is starting or stopping and takes no connections.",
        "Wait a moment. If it lasts, read the log of PostgreSQL: it may be recovering, or its disk may be full.",
    ),
    LOGIN_REFUSED: Fault(
        "{server} refuses the login, or lacks the database.",
        "Correct the user, the password or the database name in {variable}, or pg_hba.conf of the server.",
    ),
    READ_ONLY: Fault(
        "{server} is read-only.",
        "If it is a standby, name the primary in {variable}. Else set default_transaction_read_only to off, for the "
        "server, the database and the user. Chargers wait for their answers meanwhile; nothing is lost.",
    ),
    FULL: Fault(
        "The disk of {server} is full.",
        "Free space on the disk of its data folder, but delete nothing in that folder. It then recovers by itself.",
    ),
    LOCKED: Fault(
        "Another session has locked tables or rows of this program in {server}.",
        "Wait for that session, such as a migration, or end it: pg_locks and pg_stat_activity name it.",
    ),
    NO_CONNECTIONS: Fault(
        "{server} has no connection free.",
        "Raise max_connections, or end sessions that pg_stat_activity shows as idle.",
    ),
    OUT_OF_MEMORY: Fault(
        "{server} is out of memory.",
        "Free memory on its machine, or lower work_mem and max_connections.",
    ),
    FAILING: Fault(
        "{server} answers with an error.",
        "Read the log of this process, which has the error, and the log of PostgreSQL.",
    ),
}
REDIS = {
    AWAY: Fault(
        "{server} can't be reached.",
        "Start it, or correct {variable}. Chargers are served meanwhile; commands wait.",
    ),
    HANGING: Fault(
        "{server} does not answer in time.",
        "Look at the load of its machine, and at SLOWLOG GET. Chargers are served meanwhile; commands wait.",
    ),
    STARTING: Fault(
        "{server} is still loading its data.",
        "Wait until it has read its files; its log shows the progress.",
    ),
    LOGIN_REFUSED: Fault(
        "{server} refuses the login, or the user may not write.",
        "Correct the user and the password in {variable}, or the access list of the server (ACL).",
    ),
    READ_ONLY: Fault(
        "{server} is a replica, which takes no writes.",
        "Name the primary in {variable}, or use a sentinel:// URL, which follows a failover.",
    ),
    OUT_OF_MEMORY: Fault(
        "{server} is out of memory and takes no writes (maxmemory is reached).",
        "Raise maxmemory, or free memory: INFO memory and `redis-cli --bigkeys` show its use. Chargers are "
        "served meanwhile; commands can't be submitted.",
    ),
    DISK_ERROR: Fault(
        "{server} can't write to its disk, and so takes no writes.",
        "Free space on its disk, or correct its access rights there; its log has the error.",
    ),
    NO_REPLICAS: Fault(
        "{server} takes no writes, since too few of its replicas are connected.",
        "Start the replicas, or lower min-replicas-to-write.",
    ),
    NO_CONNECTIONS: Fault(
        "{server} has no connection free.",
        "Raise maxclients, or end clients that CLIENT LIST shows as idle.",
    ),
    FAILING: Fault(
        "{server} answers with an error.",
        "Read the log of this process, which has the error, and the log of that server.",
    ),
}

# By SQLSTATE or its class, see `by_sqlstate`.
SQLSTATES = {
    "08": AWAY,
    "25006": READ_ONLY,
    "28": LOGIN_REFUSED,
    "3D": LOGIN_REFUSED,
    "42501": LOGIN_REFUSED,
    "53": FAILING,
    "53100": FULL,
    "53200": OUT_OF_MEMORY,
    "53300": NO_CONNECTIONS,
    "55P03": LOCKED,
    "57": STARTING,
    "57014": HANGING,
    "58": FAILING,
}
# libpq has no SQLSTATE for errors while it connects. A fault of a server with another lc_messages counts as AWAY.
WHILE_CONNECTING = (
    ("too many clients", NO_CONNECTIONS),
    ("connection slots are reserved", NO_CONNECTIONS),
    ("too many connections", NO_CONNECTIONS),
    ("database system is", STARTING),
    ("authentication failed", LOGIN_REFUSED),
    ("no password supplied", LOGIN_REFUSED),
    ("no pg_hba.conf entry", LOGIN_REFUSED),
    ("is not permitted to log in", LOGIN_REFUSED),
    ("does not exist", LOGIN_REFUSED),
    ("No space left on device", FULL),
    ("timeout expired", HANGING),
)
REDIS_ERRORS = (
    (redis.OutOfMemoryError, OUT_OF_MEMORY),
    (redis.ReadOnlyError, READ_ONLY),
    (redis.BusyLoadingError, STARTING),
    (redis.AuthenticationError, LOGIN_REFUSED),
    (redis.AuthorizationError, LOGIN_REFUSED),
    (redis.NoPermissionError, LOGIN_REFUSED),
    (redis.AuthenticationWrongNumberOfArgsError, LOGIN_REFUSED),
    (redis.TimeoutError, HANGING),
)
# redis-py has no class for these.
REDIS_WORDS = (
    ("MISCONF", DISK_ERROR),
    ("NOREPLICAS", NO_REPLICAS),
    ("max number of clients", NO_CONNECTIONS),
    ("OOM command not allowed", OUT_OF_MEMORY),  # within a script of an old server
)
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def of_database(error: BaseException) -> str | None:
    """Return the fault of PostgreSQL that caused `error`, a key of DATABASE, or None for any other error."""
    sqlstate = next((code for cause in _causes(error) if (code := getattr(cause, "sqlstate", None))), None)
    if sqlstate:
        return by_sqlstate(SQLSTATES, sqlstate)
    if isinstance(error, TimeoutError):
        return HANGING
    if isinstance(error, OperationalError | InterfaceError | DriverError | DriverInterfaceError):
        return _by_words(WHILE_CONNECTING, error) or AWAY
    return None


def of_redis(error: BaseException) -> str | None:
    """Return the fault of Redis or the broker that caused `error`, a key of REDIS, or None for any other error."""
    for cause in _causes(error):
        if isinstance(cause, RedisError):
            return _by_class_or_words(cause)
    if isinstance(error, TimeoutError):
        return HANGING
    if isinstance(error, AMQPError) and getattr(error, "reply_code", None) in (403, 530):
        return LOGIN_REFUSED
    return AWAY if isinstance(error, BrokerError | AMQPError | OSError) else None


def in_words(error: BaseException) -> str | None:
    """Return a sentence about the fault of PostgreSQL, Redis or the broker, or None for any other error."""
    if fault := of_database(error):
        return DATABASE[fault].wrong.format(server="PostgreSQL")
    fault = of_redis(error)
    if fault in (AWAY, HANGING):  # the error does not show which of the two it is
        return "Redis or the message broker is unavailable."
    return REDIS[fault].wrong.format(server="Redis") if fault else None


def _by_class_or_words(error: RedisError) -> str:
    by_class = next((fault for kind, fault in REDIS_ERRORS if isinstance(error, kind)), None)
    by_words = by_class or _by_words(REDIS_WORDS, error)
    return by_words or (AWAY if isinstance(error, redis.ConnectionError) else FAILING)


def _by_words(table: tuple, error: BaseException) -> str | None:
    text = str(error)
    return next((fault for words, fault in table if words in text), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error` and the exceptions it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__
