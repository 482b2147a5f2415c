"""Chargers whose web process ended without a word: the books are told that they are offline."""

import time
from datetime import UTC, datetime, timedelta

from django.db import transaction

from chargers import admission, presence
from chargers.models import ONLINE, Charger
from chargers.redis import sync_redis

INTERVAL = 10  # seconds between two looks
# A Redis that has lost its data is told of every socket again by the processes that hold them.
SETTLED = 3 * presence.REFRESH
SINCE = "ocpp:presence-since"


def note_vanished():
    """Enter those offline that have no presence any more; how many. Raises `RedisError`, and then nobody is."""
    if not _redis_is_settled():
        return 0
    settled = datetime.now(UTC) - timedelta(seconds=SETTLED)
    believed = Charger.objects.filter(ONLINE, connected_at__lt=settled).values_list(
        "pk", "charger_id", "connected_at"
    )
    online = presence.connected([charger_id for _, charger_id, _ in believed])
    gone = [admission.Closed(pk, opened) for pk, charger_id, opened in believed if charger_id not in online]
    with transaction.atomic():
        admission.close_sockets(sorted(gone, key=lambda closed: closed.charger))
    return len(gone)


def _redis_is_settled():
    now = time.time()
    since = sync_redis().set(SINCE, now, nx=True, get=True)
    return since is not None and now - float(since) > SETTLED
