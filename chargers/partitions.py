"""Tables that grow for ever, in partitions by month of `received_at` (UTC): old ones are dropped as a whole.

A row for which no month was made is kept by the partition `<table>_default`, so nothing a charger says depends on
housekeeping; it moves when its month is made.
"""

import re
from datetime import UTC, datetime

from django.db import connection, transaction
from psycopg import sql

AHEAD = 3  # months made beforehand
# Who waits for the whole table has every writer wait behind him: rather at the next hour than long.
PATIENCE = "SET LOCAL lock_timeout = '5s'"
UPPER = re.compile(r"TO \('(.*)'\)")  # in what PostgreSQL says of a partition's bounds


def month_of(moment, later=0):
    """The first moment of the month `later` months after that of `moment`."""
    years, month = divmod(moment.month - 1 + later, 12)
    return datetime(moment.year + years, month + 1, 1, tzinfo=UTC)


def make_months(table, now):
    """Make the partitions of the months to come, and those of what waits in the default one; their names."""
    first = min([now, *_oldest_in_default(table)])
    wanted, month = [], month_of(first)
    while month <= month_of(now, AHEAD):
        wanted.append(month)
        month = month_of(month, 1)
    bounds = {upper for _, upper in months(table)}
    return [_make(table, month) for month in wanted if not any(upper > month for upper in bounds)]


def drop_before(table, moment):
    """Drop the partitions that hold nothing younger than `moment`; their names."""
    old = [name for name, upper in months(table) if upper <= moment]
    for name in old:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(PATIENCE)
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
    return old


def months(table):
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


def _oldest_in_default(table):
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT min(received_at) FROM {}").format(_default(table)))
        return [moment for (moment,) in cursor.fetchall() if moment]


def _make(table, month):
    """One month; what waits for it in the default partition goes there in the same transaction."""
    name = f"{table}_{month:%Y_%m}"
    parts = {
        "table": sql.Identifier(table),
        "name": sql.Identifier(name),
        "default": _default(table),
        "first": sql.Literal(month),
        "after": sql.Literal(month_of(month, 1)),
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
    "WITH moved AS (DELETE FROM {default} WHERE received_at >= {first} AND received_at < {after} RETURNING *) "
    "INSERT INTO {name} SELECT * FROM moved",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})",
)


def _default(table):
    return sql.Identifier(f"{table}_default")
