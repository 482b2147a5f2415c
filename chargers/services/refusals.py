"""Collect refused handshakes in each process, and limit how many of them are written and logged during a flood."""

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from chargers import metrics, sql
from chargers.models import Charger, Refusal
from chargers.models.refusals import RefusalQuerySet
from chargers.services import access
from core.background import BackgroundWriter
from core.db import bulk_sql

logger = logging.getLogger(__name__)

WRITE_INTERVAL_S = 1.0
MAX_QUEUED = 5000  # refusals that are not written yet; further ones are only counted in /metrics
MAX_ROWS_PER_WRITE = 500  # pairs of charger id and kind; further ones are only counted in /metrics
MAX_STORED_ROWS = 1000  # in the table; older ones are deleted
LOG_INTERVAL_S = 600  # between two log lines for the same charger id and kind
MAX_LINES_PER_MINUTE = 60  # in the log, for all refusals
MAX_REMEMBERED_LINES = 5000  # pairs of charger id and kind that were logged


@dataclass(frozen=True, slots=True)
class CountedRefusal:
    """One refused handshake, or `count` of one charger id and kind with the reason and address of the last one."""

    charger_id: str
    kind: str
    status: int
    reason: str
    address: str
    first_at: datetime
    last_at: datetime
    count: int = 1


class Refusals:
    """The refusals of this process. A thread writes them WRITE_INTERVAL_S after `note`."""

    def __init__(self) -> None:
        limits: dict[str, Any] = {"interval_s": WRITE_INTERVAL_S, "max_queued": MAX_QUEUED, "max_batch": MAX_QUEUED}
        self.writer = BackgroundWriter[CountedRefusal]("refusals", write, prepare=counted, **limits)
        # (charger id, kind): time of the last log line
        self.logged: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.minute = self.lines = 0

    def note(self, charger_id: str, refusal: Any, address: str) -> None:
        """Count `refusal`, the answer to a handshake of `charger_id` ("" if it names none) from `address`."""
        metrics.count_refusal(refusal.status)
        if refusal.kind is None:  # refused too often; listed already, and a flood must not fill the log
            return
        self._log(charger_id, refusal, address)
        columns, now = (refusal.status, refusal.reason[:500], address[:45]), datetime.now(UTC)
        self.writer.put(CountedRefusal(charger_id, refusal.kind, *columns, now, now))

    def _log(self, charger_id: str, refusal: Any, address: str) -> None:
        now = time.monotonic()
        key, minute = (charger_id, refusal.kind), int(now / 60)
        if now - self.logged.get(key, -LOG_INTERVAL_S) < LOG_INTERVAL_S:
            return
        if minute != self.minute:
            self.minute, self.lines = minute, 0
        self.lines += 1
        if self.lines > MAX_LINES_PER_MINUTE:
            return
        self.logged[key] = now
        self.logged.move_to_end(key)
        if len(self.logged) > MAX_REMEMBERED_LINES:
            self.logged.popitem(last=False)
        name = charger_id or "(no id)"
        logger.warning("%s: refused (%s): %s (from %s)", name, refusal.status, refusal.reason, address)


def counted(refusals: Iterable[CountedRefusal]) -> list[CountedRefusal]:
    """Count the refusals of each charger id and kind together, at most MAX_ROWS_PER_WRITE of these.

    They are sorted, because all processes must write rows in the same order, or they could deadlock.
    """
    rows: dict[tuple[str, str], CountedRefusal] = {}
    for refusal in refusals:
        key = refusal.charger_id, refusal.kind
        if former := rows.get(key):
            rows[key] = replace(refusal, first_at=former.first_at, count=former.count + refusal.count)
        elif len(rows) < MAX_ROWS_PER_WRITE:
            rows[key] = refusal
    return [rows[key] for key in sorted(rows)]


def write(rows: list[CountedRefusal]) -> None:
    """Add `rows` to the table, and delete the oldest rows beyond the limit."""
    with transaction.atomic():
        bulk_sql.execute(sql.COUNT_REFUSALS, rows)
        bulk_sql.query(sql.TRIM_REFUSALS, [MAX_STORED_ROWS])


refused = Refusals()


# --- for operators ---------------------------------------------------------------------------


def may_add(user: Any) -> bool:
    """Return whether `user` may add chargers, and so may see unknown charger ids."""
    return access.reaches_every_charger(user) and (not access.has_login() or user.has_perm("chargers.add_charger"))


def visible(user: Any) -> RefusalQuerySet:
    """Return the open refusals of the chargers within reach of `user`, and of unknown ids if `user` may add them."""
    rows = Refusal.objects.open()
    if not access.reaches_every_charger(user):
        return rows.filter(charger_id__in=access.within(user, Charger.objects.all(), "pk").values("identity"))
    return rows if may_add(user) else rows.filter(is_known=True)
