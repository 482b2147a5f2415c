"""Tables that grow for ever, in partitions by month or day (UTC) of when a row came: old ones are dropped as a whole.

A row for which no partition was made is kept by the partition `<table>_default`, so nothing a charger says depends on
housekeeping; it moves when its partition is made.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from psycopg import sql

AHEAD = 3  # months made beforehand
DAYS_AHEAD = 7
# Who waits for the whole table has every writer wait behind him: rather at the next hour than long.
PATIENCE = "SET LOCAL lock_timeout = '5s'"
UPPER = re.compile(r"TO \('(.*)'\)")  # in what PostgreSQL says of a partition's bounds


def month_of(moment, later=0):
    """The first moment of the month `later` months after that of `moment`."""
    years, month = divmod(moment.month - 1 + later, 12)
    return datetime(moment.year + years, month + 1, 1, tzinfo=UTC)


def day_of(moment, later=0):
    """The first moment of the day `later` days after that of `moment`."""
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(days=later)


@dataclass(frozen=True)
class Periods:
    """How a table is cut: by which column, where a period begins, how it is named, how many are made beforehand."""

    column: str
    of: Callable
    name: str
    ahead: int


MONTHS = Periods("received_at", month_of, "%Y_%m", AHEAD)
DAYS = Periods("at", day_of, "%Y_%m_%d", DAYS_AHEAD)


def make(table, now, periods=MONTHS):
    """Make the partitions of the periods to come, and those of what waits in the default one; their names."""
    first = min([now, *_oldest_in_default(table, periods)])
    wanted, start = [], periods.of(first)
    while start <= periods.of(now, periods.ahead):
        wanted.append(start)
        start = periods.of(start, 1)
    bounds = {upper for _, upper in made(table)}
    return [_make(table, start, periods) for start in wanted if not any(upper > start for upper in bounds)]


def drop_before(table, moment):
    """Drop the partitions that hold nothing younger than `moment`; their names."""
    old = [name for name, upper in made(table) if upper <= moment]
    for name in old:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PATIENCE)
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return old


def made(table):
    """(name, first moment after it) of each partition but the default one, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
            "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
            [table],
        )
        bounds = {name: UPPER.search(bound) for name, bound in cursor.fetchall()}
    ends = [(datetime.fromisoformat(upper[1]), name) for name, upper in bounds.items() if upper]
    return [(name, upper) for upper, name in sorted(ends)]


def _oldest_in_default(table, periods):
    with connection.cursor() as cursor:
        oldest = sql.SQL("SELECT min({}) FROM {}").format(sql.Identifier(periods.column), _default(table))
        cursor.execute(oldest)
        return [moment for (moment,) in cursor.fetchall() if moment]


def _make(table, start, periods):
    """One period; what waits for it in the default partition goes there in the same transaction."""
    name = f"{table}_{start:{periods.name}}"
    parts = {
        "table": sql.Identifier(table),
        "name": sql.Identifier(name),
        "default": _default(table),
        "column": sql.Identifier(periods.column),
        "first": sql.Literal(start),
        "after": sql.Literal(periods.of(start, 1)),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in MAKE:
            cursor.execute(sql.SQL(statement).format(**parts))
    return name


# The lock comes first: a row that is written meanwhile must not slip into the default partition.
MAKE = (
    PATIENCE,
    "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
    "WITH moved AS (DELETE FROM {default} WHERE {column} >= {first} AND {column} < {after} RETURNING *) "
    "INSERT INTO {name} SELECT * FROM moved",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})",
)


def _default(table):
    return sql.Identifier(f"{table}_default")
