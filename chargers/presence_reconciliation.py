"""Chargers whose web process ended without a word: the books are told that they are offline."""

from datetime import timedelta

from django.db import transaction

from chargers import bulk_sql, events, handshake, presence
from chargers.models import ONLINE, Charger
from chargers.redis import sync_redis

INTERVAL = 10  # seconds between two looks
# A Redis that has lost its data is told of every socket again by the processes that hold them.
SETTLED = 3 * presence.REFRESH
# It ends before a presence that was renewed last at the same moment: what ended while Redis was away is not gone.
LOOKED_AT = presence.TTL - presence.REFRESH - 10
LONGEST = timedelta(days=1)  # after which nobody is looked for any more
LOOKS = "ocpp:presence-looks"


def mark_lost_offline():
    """Enter those offline that have no presence any more; how many. Raises `RedisError`, and then nobody is."""
    if not _redis_is_settled():
        return 0
    settled = bulk_sql.clock() - timedelta(seconds=SETTLED)
    believed = Charger.objects.filter(ONLINE, connected_at__lt=settled).values_list(
        "pk", "charger_id", "connected_at"
    )
    online = presence.connected([charger_id for _, charger_id, _ in believed])
    gone = [handshake.ConnectionClosed(pk, opened) for pk, charger_id, opened in believed if charger_id not in online]
    with transaction.atomic(), events.batched_events():
        handshake.close_sockets(sorted(gone, key=lambda closed: closed.charger))
    return len(gone)


def mark_present_online():
    """Enter those online that were believed gone, and are present; how many. Raises `RedisError`.

    A web process, or the books, were cut off from Redis for longer than a presence lasts. Whoever leaves clears its
    presence before the books hear of it, so one that is there long after was never gone.
    """
    now = bulk_sql.clock()
    long_ago, recent = now - timedelta(seconds=2 * presence.TTL), now - LONGEST
    believed = Charger.objects.filter(~ONLINE, disconnected_at__range=(recent, long_ago))
    believed = list(believed.values_list("pk", "charger_id", "connected_at"))
    there = presence.connected([charger_id for _, charger_id, _ in believed])
    back = [(pk, opened) for pk, charger_id, opened in believed if charger_id in there]
    with transaction.atomic(), events.batched_events():
        for pk, opened in sorted(back):
            same = Charger.objects.filter(~ONLINE, pk=pk, connected_at=opened)
            if same.update(disconnected_at=None):
                events.record_event("charger.online", pk, since=opened)
    return len(back)


def _redis_is_settled():
    """Looks are counted, one every INTERVAL: no clock says how long ago the first of them was."""
    looks = sync_redis().incr(LOOKS)
    sync_redis().expire(LOOKS, LOOKED_AT)
    return (looks - 1) * INTERVAL > SETTLED
