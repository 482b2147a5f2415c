"""Tables that grow for ever, in partitions by month or day (UTC) of when a row came: old ones are dropped as a whole.

A row for which no partition was made is kept by the partition `<table>_default`, so nothing a charger says depends on
housekeeping. Where there are such rows, the default partition becomes a regular one, and an empty default one takes
its place: no row is moved, so none is missing or seen twice meanwhile, and the time a lock is held does not depend on
their number.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection
from psycopg import sql

from chargers import locks

logger = logging.getLogger(__name__)

AHEAD = 3  # months made beforehand
DAYS_AHEAD = 7
PATIENCE = 60  # seconds in which a lock is tried for, again and again; then at the next hour
UPPER = re.compile(r"TO \('(.*)'\)")  # in what PostgreSQL says of a partition's bounds


class Astray(Exception):
    """The default partition holds rows from before the end of the partitions, which no new one can take."""


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

    def named(self, table, end):
        """The name of the partition of `table` that ends before `end`: that of the last period in it."""
        return f"{table}_{self.of(end - timedelta.resolution):{self.name}}"


MONTHS = Periods("received_at", month_of, "%Y_%m", AHEAD)
DAYS = Periods("at", day_of, "%Y_%m_%d", DAYS_AHEAD)


def make(table: str, now: datetime, periods: Periods = MONTHS) -> list[str]:
    """Make a partition of what waits in the default one, and those of the periods to come; their names.

    Each begins where the one before it ends, the first one with all that is older: there is no moment between them.
    """
    names = [_take_over(table, now, oldest, newest, periods) for oldest, newest in _in_default(table, periods)]
    last = _end(table)
    for end in (periods.of(now, later) for later in range(1, periods.ahead + 2)):
        if last is None or end > last:
            names.append(_add(table, last, end, periods))
            last = end
    return names


def drop_before(table: str, moment: datetime) -> list[str]:
    """Drop the partitions that hold nothing younger than `moment`; their names."""
    old = [name for name, upper in made(table) if upper <= moment]
    for name in old:
        _do(f"Dropping {name}", table, DROP, name=sql.Identifier(name))
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


def _end(table):
    """The first moment after all partitions, None where there is none yet."""
    return max((upper for _, upper in made(table)), default=None)


def _in_default(table, periods):
    """[(moment of the oldest row, that of the newest)] in the default partition, [] where it is empty."""
    parts = {"column": sql.Identifier(periods.column), "default": _default(table)}
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT min({column}), max({column}) FROM {default}").format(**parts))
        return [found for found in cursor.fetchall() if found[0]]


DROP = ("DROP TABLE {name}",)
ADD = (
    "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})",
)
# Rows that are written meanwhile are held to it as well.
PROMISE = (
    "ALTER TABLE {default} DROP CONSTRAINT IF EXISTS rows_of_its_period",
    "ALTER TABLE {default} ADD CONSTRAINT rows_of_its_period "
    "CHECK ({column} IS NOT NULL AND {column} < {after} AND {from_first}) NOT VALID",
)
PROVE = ("ALTER TABLE {default} VALIDATE CONSTRAINT rows_of_its_period",)  # reads it all, and locks out nobody
# PostgreSQL believes the proven constraint and reads nothing under the lock.
EXCHANGE = (
    "ALTER TABLE {table} DETACH PARTITION {default}",
    "ALTER TABLE {default} RENAME TO {name}",
    "CREATE TABLE {default} PARTITION OF {table} DEFAULT",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})",
    "ALTER TABLE {name} DROP CONSTRAINT rows_of_its_period",
)
TAKE_BACK = ("ALTER TABLE {default} DROP CONSTRAINT IF EXISTS rows_of_its_period",)


def _add(table, first, end, periods):
    """An empty partition from `first` (None: with all before) to `end`."""
    name = periods.named(table, end)
    _do(f"Making {name}", table, ADD, name=sql.Identifier(name), first=_bound(first), after=sql.Literal(end))
    return name


def _take_over(table, now, oldest, newest, periods):
    """The default partition becomes the one from the end of the others to that of the next period.

    The next, so that rows which come while it is proven keep the promise. Should this process be killed meanwhile,
    the promise is broken a period later at the earliest, and the next hour takes it up before.
    """
    first, end = _end(table), periods.of(max(now, newest), 2)
    if first and oldest < first:
        raise Astray(
            f"{table}_default holds rows from before {first:%Y-%m-%d}, where other partitions are: one from "
            f"{oldest:%Y-%m-%d %H:%M:%S} UTC. Was a clock wrong? Move or delete them, then run manage.py keep_house."
        )
    name, column = periods.named(table, end), sql.Identifier(periods.column)
    from_first = sql.SQL("{} >= {}").format(column, sql.Literal(first)) if first else sql.SQL("true")
    parts = {"name": sql.Identifier(name), "first": _bound(first), "after": sql.Literal(end)}
    parts |= {"column": column, "from_first": from_first}
    logger.info("%s_default has rows from %s on: it becomes the partition %s", table, oldest, name)
    try:
        for statements in (PROMISE, PROVE, EXCHANGE):
            _do(f"Making {name} of the default partition", table, statements, **parts)
    except BaseException:
        if not connection.in_atomic_block:
            _do(f"Leaving {table}_default as it was", table, TAKE_BACK)
        raise
    logger.info("%s is made", name)
    return name


def _do(what, table, statements, **parts):
    """Carry out `statements`, in which `parts` have their places, see `locks.briefly`."""
    parts |= {"table": sql.Identifier(table), "default": _default(table)}
    locks.briefly(what, [sql.SQL(statement).format(**parts) for statement in statements], PATIENCE)


def _bound(moment):
    return sql.SQL("MINVALUE") if moment is None else sql.Literal(moment)


def _default(table):
    return sql.Identifier(f"{table}_default")
