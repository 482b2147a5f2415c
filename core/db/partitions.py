"""Partition growing tables by month or day (UTC) of their rows, so that old rows are dropped as whole partitions.

A row without a partition of its own is stored in the partition `<table>_default`, so storing messages does not depend
on maintenance. If there are such rows, the default partition becomes a regular one, and an empty default partition
replaces it. No row is moved, so no row is missing or seen twice meanwhile, and the time a lock is held does not
depend on their number.
"""

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from django.db import connection
from psycopg import sql

from core.db import locks

logger = logging.getLogger(__name__)

MONTHS_AHEAD = 3  # created in advance
DAYS_AHEAD = 7  # created in advance
LOCK_TIMEOUT_S = 60  # for all attempts to get a lock; the next maintenance run, an hour later, tries again
UPPER = re.compile(r"TO \('(.*)'\)")  # in the bounds of a partition as PostgreSQL prints them


class MisplacedRows(Exception):
    """The default partition has rows from before the end of the other partitions, for which none can be created."""


def month_of(moment: datetime, later: int = 0) -> datetime:
    """Return the first moment of the month `later` months after that of `moment`."""
    years, month = divmod(moment.month - 1 + later, 12)
    return datetime(moment.year + years, month + 1, 1, tzinfo=UTC)


def day_of(moment: datetime, later: int = 0) -> datetime:
    """Return the first moment of the day `later` days after that of `moment`."""
    return datetime(moment.year, moment.month, moment.day, tzinfo=UTC) + timedelta(days=later)


class StartOf(Protocol):
    """Return the first moment of the period `later` periods after that of `moment`."""

    def __call__(self, moment: datetime, later: int = 0) -> datetime: ...


@dataclass(frozen=True)
class Periods:
    """How a table is partitioned: the column, the start and the name of a period, and the number in advance."""

    column: str
    of: StartOf
    name: str
    ahead: int

    def named(self, table: str, end: datetime) -> str:
        """Return the name of the partition of `table` that ends before `end`, after the last period in it."""
        return f"{table}_{self.of(end - timedelta.resolution):{self.name}}"


MONTHS = Periods("received_at", month_of, "%Y_%m", MONTHS_AHEAD)
DAYS = Periods("at", day_of, "%Y_%m_%d", DAYS_AHEAD)


def make(table: str, now: datetime, periods: Periods = MONTHS) -> list[str]:
    """Make a partition of the rows in the default one, and create those of the coming periods; return their names.

    Each begins where the one before it ends, and the first one includes all older rows, so there are no gaps.
    """
    names = [_convert_default(table, now, oldest, newest, periods) for oldest, newest in _in_default(table, periods)]
    last = _end(table)
    for end in (periods.of(now, later) for later in range(1, periods.ahead + 2)):
        if last is None or end > last:
            names.append(_add(table, last, end, periods))
            last = end
    return names


def drop_before(table: str, moment: datetime) -> list[str]:
    """Drop the partitions that end at or before `moment`; return their names."""
    old = [name for name, upper in existing(table) if upper <= moment]
    for name in old:
        _do(f"Dropping {name}", table, DROP, name=sql.Identifier(name))
    return old


def existing(table: str) -> list[tuple[str, datetime]]:
    """Return [(name, end)] of the partitions except the default one, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i "
            "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass",
            [table],
        )
        bounds = {name: UPPER.search(bound) for name, bound in cursor.fetchall()}
    ends = [(datetime.fromisoformat(upper[1]), name) for name, upper in bounds.items() if upper]
    return [(name, upper) for upper, name in sorted(ends)]


def _end(table: str) -> datetime | None:
    """Return the end of the last partition, None if there is none."""
    return max((upper for _, upper in existing(table)), default=None)


def _in_default(table: str, periods: Periods) -> list[tuple[datetime, datetime]]:
    """Return [(time of the oldest row, time of the newest row)] in the default partition, [] if it is empty."""
    parts = {"column": sql.Identifier(periods.column), "default": _default(table)}
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT min({column}), max({column}) FROM {default}").format(**parts))
        return [row for row in cursor.fetchall() if row[0]]


DROP = ("DROP TABLE {name}",)
ADD = (
    "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})",
)
# The constraint also applies to rows that are written meanwhile.
ADD_CONSTRAINT = (
    "ALTER TABLE {default} DROP CONSTRAINT IF EXISTS rows_of_its_period",
    "ALTER TABLE {default} ADD CONSTRAINT rows_of_its_period "
    "CHECK ({column} IS NOT NULL AND {column} < {after} AND {from_first}) NOT VALID",
)
VALIDATE_CONSTRAINT = (
    "ALTER TABLE {default} VALIDATE CONSTRAINT rows_of_its_period",
)  # reads the whole partition, but blocks no writer
# PostgreSQL reads no rows under the lock, because the constraint is validated.
REPLACE_DEFAULT = (
    "ALTER TABLE {table} DETACH PARTITION {default}",
    "ALTER TABLE {default} RENAME TO {name}",
    "CREATE TABLE {default} PARTITION OF {table} DEFAULT",
    "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({after})",
    "ALTER TABLE {name} DROP CONSTRAINT rows_of_its_period",
)
DROP_CONSTRAINT = ("ALTER TABLE {default} DROP CONSTRAINT IF EXISTS rows_of_its_period",)


def _add(table: str, first: datetime | None, end: datetime, periods: Periods) -> str:
    """Create an empty partition from `first` (None: from the beginning) to `end`."""
    name = periods.named(table, end)
    _do(f"Making {name}", table, ADD, name=sql.Identifier(name), first=_bound(first), after=sql.Literal(end))
    return name


def _convert_default(table: str, now: datetime, oldest: datetime, newest: datetime, periods: Periods) -> str:
    """Make the default partition the one from the end of the others to the end of the next period.

    The next period is included, so that rows that arrive during validation satisfy the constraint. If this process is
    killed meanwhile, rows violate the constraint a period later at the earliest, and the next maintenance run, an
    hour later, completes the work before.
    """
    first, end = _end(table), periods.of(max(now, newest), 2)
    if first and oldest < first:
        raise MisplacedRows(
            f"{table}_default has rows from before {first:%Y-%m-%d}, where other partitions are: one from "
            f"{oldest:%Y-%m-%d %H:%M:%S} UTC. Check the clock of the server. "
            f"Move or delete these rows, then run manage.py maintain."
        )
    name, column = periods.named(table, end), sql.Identifier(periods.column)
    from_first = sql.SQL("{} >= {}").format(column, sql.Literal(first)) if first else sql.SQL("true")
    parts: dict[str, sql.Composable] = {"name": sql.Identifier(name), "first": _bound(first)}
    parts["after"] = sql.Literal(end)
    parts |= {"column": column, "from_first": from_first}
    logger.info("%s_default has rows since %s: it becomes the partition %s", table, oldest, name)
    try:
        for statements in (ADD_CONSTRAINT, VALIDATE_CONSTRAINT, REPLACE_DEFAULT):
            _do(f"Making {name} of the default partition", table, statements, **parts)
    except BaseException:
        if not connection.in_atomic_block:
            _do(f"Restoring {table}_default", table, DROP_CONSTRAINT)
        raise
    logger.info("The partition %s is complete", name)
    return name


def _do(label: str, table: str, statements: Iterable[str], **parts: sql.Composable) -> None:
    """Run `statements`, formatted with `parts`, see `locks.briefly`."""
    parts |= {"table": sql.Identifier(table), "default": _default(table)}
    locks.briefly(label, [sql.SQL(statement).format(**parts) for statement in statements], LOCK_TIMEOUT_S)


def _bound(moment: datetime | None) -> sql.Composable:
    return sql.SQL("MINVALUE") if moment is None else sql.Literal(moment)


def _default(table: str) -> sql.Identifier:
    return sql.Identifier(f"{table}_default")
