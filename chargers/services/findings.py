"""Findings are departures of messages from OCPP. Each process counts them, and a thread of it writes the counts.

Counting costs one append for a message with findings and nothing for a valid one. A process that ends loses the
counts of the last `INTERVAL_S`.
"""

import logging
from collections import Counter as Counts
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.db import transaction

from chargers import metrics, sql
from chargers.models.findings import MAX_EXAMPLE_LENGTH, MAX_FIELD_LENGTH
from chargers.services import budgets, events
from core.background import BackgroundWriter
from core.db import bulk_sql
from core.ocpp.frames import storable
from core.ocpp.redaction import HIDDEN, masked_by_names, names_secret
from core.ocpp.versions import may_be_secret

logger = logging.getLogger(__name__)

INTERVAL_S = 0.25  # in this time findings collect
MAX_WAITING_MESSAGES = 10_000  # messages with findings that are not written yet; further ones are not counted
OTHERS = "(others)"  # members beyond the budget of findings are counted together under this name
OVER_BUDGET = (
    "%s: more than %s %s (%s). %s Look at its messages; if they are not its own, give the charger a new key. "
    "See docs/security.md."
)


class MessageFindings(NamedTuple):
    """The findings of one message: {(field, kind): value as sent}."""

    charger: int
    action: str
    by_kind: Mapping[tuple[str, str], Any]
    at: datetime


def add(charger: int, action: str, by_kind: Mapping[tuple[str, str], Any], at: datetime | None = None) -> None:
    """Count the findings {(field, kind): value} in a message of `charger` (primary key), received `at` or now."""
    writer.put(MessageFindings(charger, action, by_kind, at or datetime.now(UTC)))
    for field, kind in by_kind:
        metrics.count_finding(action, field, kind)


def write(messages: Iterable[MessageFindings]) -> None:
    """Add the findings of `messages` to the table in one statement, and raise incidents for exceeded budgets."""
    rows: dict[tuple, dict] = {}
    for message in messages:
        for (field, kind), value in message.by_kind.items():
            key = message.charger, message.action, _field(field), kind
            row = rows.setdefault(key, _row(*key, message.at))
            row["count"] += 1
            row["last_seen"] = message.at
            row["example"] = value
    if not rows:
        return
    rows = _within_limits(rows)
    for row in rows.values():
        row["example"] = example(row["action"], row["field"], row["example"])
    over = {(charger, field) for charger, _, field, kind in rows if budgets.exceeded(field, kind)}
    # Rows are written in the same order by all processes, because another order could deadlock.
    with transaction.atomic():
        _raise_incidents(over)
        bulk_sql.execute(sql.COUNT_FINDINGS, [rows[key] for key in sorted(rows)])


def _row(charger: int, action: str, field: str, kind: str, at: datetime) -> dict:
    key = {"charger": charger, "action": action, "field": field, "kind": kind}
    return key | {"count": 0, "first_seen": at, "last_seen": at, "example": None}


def _raise_incidents(over: Iterable[tuple[int, str]]) -> None:
    """Record an event for each pair in `over`, (charger, field of a budget), that begins a new episode."""
    keys = [{"charger": charger, "field": field} for charger, field in over]
    for charger, charger_id, field in bulk_sql.execute(sql.NEW_EPISODES, keys):
        budget = budgets.FIELDS[field]
        fields = {"budget": budget.name, "limit": budget.limit, "counts": budget.counts}
        events.record_event("charger.over_budget", charger, **fields, consequence=budget.consequence)
        logger.warning(OVER_BUDGET, charger_id, budget.limit, budget.counts, budget.setting, budget.consequence)


def _within_limits(rows: dict[tuple, dict]) -> dict[tuple, dict]:
    """Return `rows`, with new findings of a charger beyond its limit counted together as OTHERS."""
    limit = settings.OCPP_MOST_FINDINGS
    if not limit:
        return rows
    counts = [{"charger": charger, "found": count} for charger, count in Counts(key[0] for key in rows).items()]
    known = {tuple(row) for row in bulk_sql.query(sql.KNOWN_FINDINGS, [bulk_sql.json(counts), limit])}
    used = Counts(charger for charger, *_ in known)
    limited: dict[tuple, dict] = {}
    for key, row in rows.items():
        charger, action, field, kind = key
        if key in known or budgets.exceeded(field, kind):
            _add(limited, key, row)
        elif used[charger] < limit:
            used[charger] += 1
            _add(limited, key, row)
        else:
            _add(limited, (charger, action, OTHERS, kind), row)
            _add(limited, (charger, "", *budgets.BUDGETS["findings"].finding), row)
            metrics.count_finding("", *budgets.BUDGETS["findings"].finding)
    return limited


def _add(rows: dict[tuple, dict], key: tuple, row: dict) -> None:
    """Add the count of `row` to the row of `key`."""
    before = rows.get(key, row | {"count": 0})
    columns = dict(zip(("charger", "action", "field", "kind"), key, strict=True))
    rows[key] = row | columns | {"count": before["count"] + row["count"], "first_seen": before["first_seen"]}


def _field(field: str) -> str:
    """Shorten and clean a member's name, because the charger may have chosen it."""
    return storable(field)[:MAX_FIELD_LENGTH]


def example(action: str, field: str, value: Any) -> str:
    """Format `value` as JSON, with secrets masked, cut to MAX_EXAMPLE_LENGTH characters."""
    # An answer contains no secret, because `commands.fields.Payload` has hidden those of the whole answer.
    is_secret = not action.endswith("Response") and may_be_secret(action, field)
    if (is_secret or names_secret(field.rpartition(".")[2])) and value not in (None, ""):
        return HIDDEN
    try:
        text = orjson.dumps(storable(value)).decode()
    except TypeError:
        text = repr(value)
    return masked_by_names(text[: 8 * MAX_EXAMPLE_LENGTH])[:MAX_EXAMPLE_LENGTH]


writer = BackgroundWriter[MessageFindings](
    "findings", write, interval_s=INTERVAL_S, max_queued=MAX_WAITING_MESSAGES, max_batch=MAX_WAITING_MESSAGES
)
