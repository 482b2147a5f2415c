"""Refused handshakes are gathered in each process, and written and logged so that a flood of them stays small."""

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import DatabaseError, transaction

from chargers import access, bulk_sql, metrics
from chargers.errors import Conflict
from chargers.in_db_thread import in_db_thread
from chargers.models import Charger, Refusal

logger = logging.getLogger(__name__)

PAUSE = 1.0  # seconds between two writes
MOST_GATHERED = 500  # charger ids and reasons in one write; more are counted in /metrics alone
MOST_KEPT = 1000  # rows of the table, of which the oldest go
SILENCE = 600  # seconds in which the same charger id is not logged again for the same reason
MOST_LINES = 60  # in the log in a minute, whoever is refused
MOST_REMEMBERED = 5000  # charger ids and reasons that were logged
UPSERT = """
INSERT INTO chargers_refusal (charger_id, kind, status, reason, address, count, first_at, last_at)
SELECT s.charger_id, s.kind, s.status, s.reason, s.address, s.count, s.first_at, s.last_at
FROM json_to_recordset(%s) AS s(charger_id text, kind text, status int, reason text, address text, count bigint,
    first_at timestamptz, last_at timestamptz)
ON CONFLICT (charger_id, kind) DO UPDATE SET status = excluded.status, reason = excluded.reason,
    address = excluded.address, count = chargers_refusal.count + excluded.count, last_at = excluded.last_at
RETURNING id
"""
TRIM = "DELETE FROM chargers_refusal WHERE id IN (SELECT id FROM chargers_refusal ORDER BY last_at DESC OFFSET %s)"


@dataclass(slots=True)
class Gathered:
    """What was refused to one charger id for one reason since the last write."""

    status: int
    reason: str
    address: str
    first_at: datetime
    last_at: datetime
    count: int = 0


class Refusals:
    """Those of this process: `note` one, and it is in the database a second later."""

    def __init__(self):
        self.gathered = {}  # (charger id, kind): Gathered
        self.logged = OrderedDict()  # (charger id, kind): when
        self.minute = self.lines = 0
        self.writing = None

    def note(self, charger_id, refusal, address):
        """A handshake of `charger_id` ("" where none is named) from `address` was answered with `refusal`."""
        metrics.count_refusal(refusal.status)
        if refusal.kind is None:  # refused too often: it is listed already, and a flood shall not fill the log
            return
        self._log(charger_id, refusal, address)
        key, now = (charger_id, refusal.kind), datetime.now(UTC)
        if key not in self.gathered and len(self.gathered) >= MOST_GATHERED:
            return
        row = self.gathered.setdefault(key, Gathered(0, "", "", now, now))
        row.status, row.reason, row.address, row.last_at = refusal.status, refusal.reason[:500], address[:45], now
        row.count += 1
        if self.writing is None:
            self.writing = asyncio.create_task(self._write())

    def _log(self, charger_id, refusal, address):
        now = time.monotonic()
        key, minute = (charger_id, refusal.kind), int(now / 60)
        if now - self.logged.get(key, -SILENCE) < SILENCE:
            return
        if minute != self.minute:
            self.minute, self.lines = minute, 0
        self.lines += 1
        if self.lines > MOST_LINES:
            return
        self.logged[key] = now
        self.logged.move_to_end(key)
        if len(self.logged) > MOST_REMEMBERED:
            self.logged.popitem(last=False)
        named = charger_id or "(no id)"
        logger.warning("%s: refused (%s): %s (from %s)", named, refusal.status, refusal.reason, address)

    async def _write(self):
        try:
            while self.gathered:
                await asyncio.sleep(PAUSE)
                gathered, self.gathered = self.gathered, {}
                try:
                    await in_db_thread(write)(gathered)
                except DatabaseError as error:
                    logger.warning("%s refused handshakes are not listed: %s", len(gathered), error)
        finally:
            self.writing = None


refused = Refusals()


def write(gathered):
    """Add {(charger id, kind): `Gathered`} to the table, in one order for all processes, and keep it small."""
    rows = [
        {
            "charger_id": charger_id,
            "kind": kind,
            **{name: getattr(row, name) for name in ("status", "reason", "address", "count")},
            "first_at": row.first_at.isoformat(),
            "last_at": row.last_at.isoformat(),
        }
        for (charger_id, kind), row in sorted(gathered.items())
    ]
    with transaction.atomic():
        bulk_sql.execute(UPSERT, rows)
        bulk_sql.query(TRIM, [MOST_KEPT])


# --- for operators ---------------------------------------------------------------------------


def may_add(user):
    """Whether `user` may make chargers, and so may see ids that are of no charger."""
    return access.reaches_every_charger(user) and (not access.has_login() or user.has_perm("chargers.add_charger"))


def visible(user):
    """The open refusals `user` may see: of the chargers they reach, and of unknown ids where they may add them."""
    rows = Refusal.objects.open()
    if not access.reaches_every_charger(user):
        return rows.filter(charger_id__in=access.within(user, Charger.objects.all(), "pk").values("charger_id"))
    return rows if may_add(user) else rows.filter(is_known=True)


@transaction.atomic
def add_charger(refusal):
    """(the new `Charger`, its key); raises `Conflict` where there is no id, or a charger with it."""
    if not refusal.charger_id:
        raise Conflict("The path of this handshake named no charger id: correct the URL in the charger.")
    charger, made = Charger.objects.get_or_create(charger_id=refusal.charger_id)
    if not made:
        raise Conflict("This charger is known already: give it a new key, or correct what it presents.")
    return charger, charger.make_key()
