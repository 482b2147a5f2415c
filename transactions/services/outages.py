"""Compute outages from the events of connections and statuses, before these are deleted.

It may run at any time and as often as wanted: an outage is found by the event that began it.
"""

from django.db import transaction as database

from core.db import bulk_sql
from transactions import sql

LOCK = 2_026_1131  # the key of the advisory lock
MARGIN_S = 3600  # of events before the newest outage, which may have been committed late


@database.atomic
def update(everything: bool = False) -> None:
    """Store the outages that began or ended since the last one began; or `everything` that the stored events say."""
    bulk_sql.query("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    bulk_sql.query(sql.STORE_OUTAGES, {"margin": MARGIN_S, "everything": everything})
