"""Reconcile the connection times in the database with presence in Redis, for web processes that were killed."""

from datetime import timedelta

from django.db import transaction

from chargers.models import ONLINE, Charger
from chargers.services import connections, events, presence
from core.db import bulk_sql
from core.redis.connections import sync_redis

INTERVAL_S = 10  # between two checks
# After Redis has lost its data, the web processes register all their sockets again within this time.
SETTLING_S = 3 * presence.REFRESH_S
# The count of checks expires before a presence that was renewed at the same moment, so that a presence that has
# expired while Redis was unavailable is not taken for a lost one.
CHECKS_TTL_S = presence.TTL_S - presence.REFRESH_S - 10
MAX_OFFLINE = timedelta(days=1)  # chargers that have been offline longer are not checked
CHECKS_KEY = "ocpp:presence-checks"


def mark_lost_offline() -> int:
    """Mark the chargers offline that have lost their presence, and return how many. Raise `RedisError`."""
    if not _redis_is_settled():
        return 0
    settled = bulk_sql.clock() - timedelta(seconds=SETTLING_S)
    rows = Charger.objects.filter(ONLINE, connected_at__lt=settled)
    marked_online = rows.values_list("pk", "identity", "connected_at")
    present = presence.connected([charger_id for _, charger_id, _ in marked_online])
    lost = [
        connections.ConnectionClosed(pk, opened)
        for pk, charger_id, opened in marked_online
        if opened and charger_id not in present
    ]
    with transaction.atomic(), events.batched_events():
        connections.close_sockets(sorted(lost, key=lambda closed: closed.charger))
    return len(lost)


def mark_present_online() -> int:
    """Mark the chargers online that are marked offline but present, and return how many. Raise `RedisError`.

    This happens after a web process or this worker was cut off from Redis for longer than the lifetime of a presence.
    A socket that ends clears its presence before the database is updated, so a presence that still exists long after
    shows that the socket never ended.
    """
    now = bulk_sql.clock()
    latest, earliest = now - timedelta(seconds=2 * presence.TTL_S), now - MAX_OFFLINE
    rows = Charger.objects.filter(~ONLINE, disconnected_at__range=(earliest, latest))
    marked_offline = list(rows.values_list("pk", "identity", "connected_at"))
    present = presence.connected([charger_id for _, charger_id, _ in marked_offline])
    still_open = [(pk, opened) for pk, charger_id, opened in marked_offline if charger_id in present]
    with transaction.atomic(), events.batched_events():
        for pk, opened in sorted(still_open):
            unchanged = Charger.objects.filter(~ONLINE, pk=pk, connected_at=opened)
            if unchanged.update(disconnected_at=None):
                events.record_event("charger.online", pk, since=opened)
    return len(still_open)


def _redis_is_settled() -> bool:
    """Return whether Redis has kept its data for SETTLING_S. The checks are counted in Redis, one every INTERVAL_S,
    because a restarted Redis has lost the count."""
    checks = sync_redis().incr(CHECKS_KEY)
    sync_redis().expire(CHECKS_KEY, CHECKS_TTL_S)
    return (checks - 1) * INTERVAL_S > SETTLING_S
