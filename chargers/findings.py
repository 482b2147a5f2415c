"""Findings are counted in memory and written by the inbox's thread between its batches.

Counting costs the traffic one append for an odd message and nothing for a valid one. The first finding after a quiet
moment is written before its message is answered; more of them are written together every `INTERVAL_S`. A process that
is killed loses the counts of its last moment.
"""

import logging
import time
from collections import Counter as Counts
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import transaction

from chargers import budgets, bulk_sql, events, faults, metrics
from chargers.frames import storable
from chargers.masking import HIDDEN, masked, names_secret
from chargers.models.findings import MAX_EXAMPLE_LENGTH, MAX_FIELD_LENGTH

logger = logging.getLogger(__name__)

INTERVAL_S = 0.25
AFTER_LOCK_S = 5.0  # until the next attempt where another session has locked rows: batches wait for each attempt
MOST_WAITING = 10_000  # odd messages that are not counted yet; past it the oldest are not counted
OTHERS = "(others)"  # members past the budget of findings are counted together as this
WRITE = """
INSERT INTO chargers_finding AS f (charger_id, action, field, kind, count, first_seen, last_seen, example)
SELECT s.charger, s.action, s.field, s.kind, s.count, s.first_seen, s.last_seen, s.example
FROM json_to_recordset(%s) AS s(charger bigint, action text, field text, kind text, count bigint,
    first_seen timestamptz, last_seen timestamptz, example text)
JOIN chargers_charger c ON c.id = s.charger
ON CONFLICT (charger_id, action, field, kind) DO UPDATE SET count = f.count + excluded.count,
    last_seen = greatest(f.last_seen, excluded.last_seen), example = excluded.example
"""
# The findings of those chargers that would have more than they may with so many more.
KNOWN = """
SELECT f.charger_id, f.action, f.field, f.kind FROM json_to_recordset(%s) AS s(charger bigint, found int)
JOIN chargers_finding f ON f.charger_id = s.charger
WHERE s.found + (SELECT count(*) FROM chargers_finding c WHERE c.charger_id = s.charger) > %s
"""
# Of the budgets that chargers are over, those that they had kept to of late: an episode begins.
NEW_EPISODES = """
SELECT c.id, c.charger_id, s.field FROM json_to_recordset(%s) AS s(charger bigint, field text)
JOIN chargers_charger c ON c.id = s.charger
WHERE NOT EXISTS (SELECT FROM chargers_finding f WHERE f.charger_id = s.charger AND f.field = s.field
    AND f.kind = 'out_of_range' AND f.last_seen > now() - interval '10 minutes')
ORDER BY c.id, s.field
"""
OVER = (
    "%s: more than %s %s (%s). %s Look at its messages; if they are not its own, give the charger a new key. "
    "See docs/security.md."
)


class Found(NamedTuple):
    """The findings of one message: {(field, kind): value as sent}."""

    charger: int
    action: str
    found: Mapping[tuple[str, str], Any]
    at: datetime


class Counter:
    """One a process. `add` may be called by any thread, `write` by one."""

    def __init__(self) -> None:
        self.waiting: deque[Found] = deque(maxlen=MOST_WAITING)
        self.due_at = float("-inf")

    def add(self, charger: int, action: str, found: Mapping[tuple[str, str], Any], at: datetime) -> None:
        """Count the findings `found` in a message of `charger` (primary key)."""
        self.waiting.append(Found(charger, action, found, at))
        for field, kind in found:
            metrics.count_finding(action, field, kind)

    @property
    def due_in_s(self) -> float | None:
        """Seconds until the findings that wait are to be written, None where none waits."""
        return max(0.0, self.due_at - time.monotonic()) if self.waiting else None

    def write_due(self) -> None:
        """Write what waits, if it is time to. A fault costs counts, never a message; a lock only delays them."""
        if self.due_in_s != 0:
            return
        found = [self.waiting.popleft() for _ in range(len(self.waiting))]
        self.due_at = time.monotonic() + INTERVAL_S
        try:
            write(found)
        except Exception as error:  # noqa: BLE001  (the thread that answers chargers must go on)
            if faults.kind_of(error) == faults.LOCKED:
                self.due_at = time.monotonic() + AFTER_LOCK_S
                self.waiting.extendleft(reversed(found))
                return
            logger.warning("The findings of %s messages were not counted: %s", len(found), error)
            faults.drop_connection()


counter = Counter()


def write(found: Iterable[Found]) -> None:
    """Add `found` to the table in one statement, and raise the incidents among them."""
    rows: dict[tuple, dict] = {}
    for message in found:
        for (field, kind), value in message.found.items():
            key = message.charger, message.action, _field(field), kind
            row = rows.setdefault(key, _row(*key, message.at))
            row["count"] += 1
            row["last_seen"] = message.at
            row["example"] = value
    if not rows:
        return
    rows = _within_limits(rows)
    for row in rows.values():
        row["example"] = example(row["field"], row["example"])
    over = {(charger, field) for charger, _, field, kind in rows if budgets.exceeded(field, kind)}
    # In one order for all processes, so that two that meet the same rows do not wait for each other in a circle.
    with transaction.atomic():
        _raise_incidents(over)
        bulk_sql.execute(WRITE, [rows[key] for key in sorted(rows)])


def _row(charger: int, action: str, field: str, kind: str, at: datetime) -> dict:
    key = {"charger": charger, "action": action, "field": field, "kind": kind}
    return key | {"count": 0, "first_seen": at, "last_seen": at, "example": None}


def _raise_incidents(over: Iterable[tuple[int, str]]) -> None:
    """Tell of those of `over`, (charger, field of a budget), that were not over it in the last ten minutes."""
    keys = [{"charger": charger, "field": field} for charger, field in over]
    for charger, charger_id, field in bulk_sql.execute(NEW_EPISODES, keys):
        budget = budgets.FIELDS[field]
        told = {"budget": budget.name, "limit": budget.limit, "counts": budget.counts, "consequence": budget.past}
        events.record_event("charger.over_budget", charger, **told)
        logger.warning(OVER, charger_id, budget.limit, budget.counts, budget.setting, budget.past)


def _within_limits(rows: dict[tuple, dict]) -> dict[tuple, dict]:
    """`rows`, where a charger that would have too many has its new ones counted together."""
    most = settings.OCPP_MOST_FINDINGS
    if not most:
        return rows
    asked = [{"charger": charger, "found": found} for charger, found in Counts(key[0] for key in rows).items()]
    known = {tuple(row) for row in bulk_sql.query(KNOWN, [bulk_sql.json(asked), most])}
    taken = Counts(charger for charger, *_ in known)
    limited: dict[tuple, dict] = {}
    for key, row in rows.items():
        charger, action, field, kind = key
        if key in known or budgets.exceeded(field, kind):
            _add(limited, key, row)
        elif taken[charger] < most:
            taken[charger] += 1
            _add(limited, key, row)
        else:
            _add(limited, (charger, action, OTHERS, kind), row)
            _add(limited, (charger, "", *budgets.BUDGETS["findings"].finding), row)
            metrics.count_finding("", *budgets.BUDGETS["findings"].finding)
    return limited


def _add(rows: dict[tuple, dict], key: tuple, row: dict) -> None:
    """Count `row` towards that of `key`."""
    before = rows.get(key, row | {"count": 0})
    named = dict(zip(("charger", "action", "field", "kind"), key, strict=True))
    rows[key] = row | named | {"count": before["count"] + row["count"], "first_seen": before["first_seen"]}


def record(charger: int, action: str, found: Mapping[tuple[str, str], Any]) -> None:
    """Count findings at once, for a process that has no inbox. A fault costs counts, never an answer."""
    for field, kind in found:
        metrics.count_finding(action, field, kind)
    try:
        write([Found(charger, action, found, datetime.now(UTC))])
    except Exception as error:  # noqa: BLE001  (see above)
        logger.warning("The findings of an answer were not counted: %s", error)


def _field(field: str) -> str:
    """A member's name may be the charger's own."""
    return storable(field)[:MAX_FIELD_LENGTH]


def example(field: str, value: Any) -> str:
    """`value` as JSON, without secrets, cut."""
    if names_secret(field.rpartition(".")[2]) and value not in (None, ""):
        return HIDDEN
    try:
        text = orjson.dumps(storable(value)).decode()
    except TypeError:
        text = repr(value)
    return masked(text[: 8 * MAX_EXAMPLE_LENGTH])[:MAX_EXAMPLE_LENGTH]
