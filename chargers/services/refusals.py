"""Collect refused handshakes in each process, and limit how many of them are written and logged during a flood."""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import DatabaseError, transaction

from chargers import metrics, sql
from chargers.models import Charger, Refusal
from chargers.services import access
from core.db import bulk_sql
from core.db.in_db_thread import in_db_thread
from core.http.errors import Conflict

logger = logging.getLogger(__name__)

WRITE_INTERVAL_S = 1.0
MAX_ROWS_PER_WRITE = 500  # pairs of charger id and kind; further ones are only counted in /metrics
MAX_STORED_ROWS = 1000  # in the table; older ones are deleted
LOG_INTERVAL_S = 600  # between two log lines for the same charger id and kind
MAX_LINES_PER_MINUTE = 60  # in the log, for all refusals
MAX_REMEMBERED_LINES = 5000  # pairs of charger id and kind that were logged


@dataclass(slots=True)
class CountedRefusal:
    """The refusals of one charger id of one kind since the last write."""

    status: int
    reason: str
    address: str
    first_at: datetime
    last_at: datetime
    count: int = 0


class Refusals:
    """The refusals of this process. They are written WRITE_INTERVAL_S after `note`."""

    def __init__(self):
        self.pending = {}  # (charger id, kind): CountedRefusal
        self.logged = OrderedDict()  # (charger id, kind): time of the last log line
        self.minute = self.lines = 0
        self.writing = None

    def note(self, charger_id, refusal, address):
        """Count `refusal`, the answer to a handshake of `charger_id` ("" if it names none) from `address`."""
        metrics.count_refusal(refusal.status)
        if refusal.kind is None:  # refused too often; listed already, and a flood must not fill the log
            return
        self._log(charger_id, refusal, address)
        key, now = (charger_id, refusal.kind), datetime.now(UTC)
        if key not in self.pending and len(self.pending) >= MAX_ROWS_PER_WRITE:
            return
        row = self.pending.setdefault(key, CountedRefusal(0, "", "", now, now))
        row.status, row.reason, row.address, row.last_at = refusal.status, refusal.reason[:500], address[:45], now
        row.count += 1
        if self.writing is None:
            self.writing = asyncio.create_task(self._write())

    def _log(self, charger_id, refusal, address):
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

    async def _write(self):
        try:
            while self.pending:
                await asyncio.sleep(WRITE_INTERVAL_S)
                pending, self.pending = self.pending, {}
                try:
                    await in_db_thread(write)(pending)
                except DatabaseError as error:
                    logger.warning("Refused handshakes of %s charger ids are not listed: %s", len(pending), error)
        finally:
            self.writing = None


refused = Refusals()


def write(pending):
    """Add {(charger id, kind): `CountedRefusal`} to the table, and delete the oldest rows beyond the limit.

    Rows are written in the same order by all processes, because another order could deadlock.
    """
    rows = [
        {
            "charger_id": charger_id,
            "kind": kind,
            **{name: getattr(row, name) for name in ("status", "reason", "address", "count")},
            "first_at": row.first_at.isoformat(),
            "last_at": row.last_at.isoformat(),
        }
        for (charger_id, kind), row in sorted(pending.items())
    ]
    with transaction.atomic():
        bulk_sql.execute(sql.COUNT_REFUSALS, rows)
        bulk_sql.query(sql.TRIM_REFUSALS, [MAX_STORED_ROWS])


# --- for operators ---------------------------------------------------------------------------


def may_add(user):
    """Return whether `user` may add chargers, and so may see unknown charger ids."""
    return access.reaches_every_charger(user) and (not access.has_login() or user.has_perm("chargers.add_charger"))


def visible(user):
    """Return the open refusals of the chargers within reach of `user`, and of unknown ids if `user` may add them."""
    rows = Refusal.objects.open()
    if not access.reaches_every_charger(user):
        return rows.filter(charger_id__in=access.within(user, Charger.objects.all(), "pk").values("charger_id"))
    return rows if may_add(user) else rows.filter(is_known=True)


@transaction.atomic
def add_charger(refusal):
    """Add the refused charger and return (`Charger`, its key). Raise `Conflict` if it has no id or exists already."""
    if not refusal.charger_id:
        raise Conflict("The path of this handshake named no charger id: correct the URL in the charger.")
    charger, is_new = Charger.objects.get_or_create(charger_id=refusal.charger_id)
    if not is_new:
        raise Conflict("This charger is known already: give it a new key, or correct what it presents.")
    return charger, charger.make_key()
