"""Classify faults of PostgreSQL, Redis and the message broker, and say how to correct each.

/readyz, /metrics, REST and the pages name a fault by the same key.
"""

import errno
from dataclasses import dataclass

from core.db import faults
from core.db.faults import ENDED, FULL, LOCKED
from core.redis.faults import (
    AWAY,
    DISK_ERROR,
    FAILING,
    HANGING,
    LOGIN_REFUSED,
    NO_CONNECTIONS,
    NO_REPLICAS,
    OUT_OF_MEMORY,
    READ_ONLY,
    STARTING,
)
from core.redis.faults import fault_of as fault_of_redis


@dataclass(frozen=True)
class Fault:
    """A sentence about the fault, and one about its correction.

    `{server}` stands for the name of the server, `{variable}` for the environment variable with its address.
    """

    wrong: str
    what_to_do: str


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
    ENDED: Fault(
        "{server} ended the transaction.",
        "Try again. If it lasts, read the log of PostgreSQL: sessions may lock the same rows in different orders.",
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

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def of_database(error: BaseException) -> str | None:
    """Return the fault of PostgreSQL that a probe of it has raised as `error`, a key of DATABASE, or None."""
    return faults.fault_of(error) or (HANGING if isinstance(error, TimeoutError) else None)


def of_redis(error: BaseException) -> str | None:
    """Return the fault of Redis or the broker that a probe of it has raised as `error`, a key of REDIS, or None."""
    if fault := fault_of_redis(error):
        return fault
    if isinstance(error, TimeoutError):
        return HANGING
    return AWAY if isinstance(error, OSError) else None


def in_words(error: BaseException) -> str | None:
    """Return a sentence about the fault of PostgreSQL, Redis or the broker, or None for any other error.

    So it tells whether the same operation can succeed later.
    """
    if fault := faults.fault_of(error):
        return DATABASE[fault].wrong.format(server="PostgreSQL")
    fault = fault_of_redis(error)
    if fault in (AWAY, HANGING):  # the error does not show which of the two it is
        return "Redis or the message broker is unavailable."
    return REDIS[fault].wrong.format(server="Redis") if fault else None
