"""Stream events to a client as server-sent events (WHATWG HTML §9.2)."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import orjson
from redis.exceptions import RedisError

from chargers.models import Charger, Event
from chargers.models.events import KINDS
from chargers.services import access, events
from core.db.in_db_thread import in_db_thread
from core.ocpp.schemas import JSON
from core.redis.listening import Ended, hub

STREAM_LIFETIME_S = 60.0  # after which the client reconnects, so that its permissions are checked again
KEEP_ALIVE_INTERVAL_S = 15.0  # of silence, after which a comment keeps proxies from closing the connection
PAGE_SIZE = 500  # missed events that are read by one query
# An event with a smaller id may be committed after one with a greater, so the latest events are sent again.
OVERLAP = timedelta(seconds=5)
COLUMNS = {"kind": "kind", "charger_id": "charger__identity"}  # members by which a stream may be filtered


async def stream(user: Any, filters: Mapping[str, str], after: int | None) -> AsyncIterator[bytes]:
    """Yield the text of the stream for `user`: events whose members equal those of `filters`.

    Events that are stored since the id `after` are sent first.
    """
    yield b"retry: 1000\n\n"
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + STREAM_LIFETIME_S
    try:
        async with hub().listening(events.CHANNEL) as listener:
            if after is None:  # so that a client that reconnects before the first event misses none
                yield b"id: %d\n\n" % await in_db_thread(_newest)()
            else:
                async for event in _missed(user, filters, after):
                    yield _as_text(event)
            reachable = await in_db_thread(access.reachable)(user)
            names: dict[int, str | None] = {}
            while (left := ends_at - loop.time()) > 0:
                received = await listener.next(min(KEEP_ALIVE_INTERVAL_S, left))
                if received is None:
                    yield b": still here\n\n"
                for event in received or ():
                    if _is_for(event, after, reachable):
                        event["charger_id"] = event["charger_id"] or await _name(event["charger"], names)
                        is_there = event["charger_id"] or event["charger"] is None
                        if is_there and all(event[name] == value for name, value in filters.items()):
                            yield _as_text(event)
    except (Ended, RedisError):
        return  # the client reconnects with the id of the last event that it received


def _is_for(event: JSON, after: int | None, reachable: set[int] | None) -> bool:
    """Whether a client may have a published event, and has not read it from the table before it was published.

    Messages for pages alone, of other kinds, have no id.
    """
    if event["kind"] not in KINDS or (after is not None and event["id"] == after):
        return False
    return reachable is None or event["charger"] in reachable


async def _missed(user: Any, filters: Mapping[str, str], after: int) -> AsyncIterator[JSON]:
    """Yield the stored events since the event `after`, in the order of ids."""
    last = 0
    while page := await in_db_thread(_page)(user, filters, after, last):
        for event in page:
            yield event.as_payload()
        last = page[-1].pk


def _newest() -> int:
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _page(user: Any, filters: Mapping[str, str], after: int, last: int) -> list[Event]:
    rows = Event.objects.filter(**{COLUMNS[name]: value for name, value in filters.items()})
    missed = access.within(user, rows.select_related("charger")).order_by("pk")
    return list(missed.filter(pk__gt=max(last, _replay_start(after))).exclude(pk=after)[:PAGE_SIZE])


def _replay_start(after: int) -> int:
    """Return the id after which events are sent again: OVERLAP before the event `after` or the last one stored."""
    at = Event.objects.filter(pk__lte=after).order_by("-pk").values_list("at", flat=True).first()
    if at is None:
        return after
    overlapping = Event.objects.filter(at__gte=at - OVERLAP, at__lte=at + OVERLAP)
    return min([after, *overlapping.values_list("pk", flat=True)]) - 1


async def _name(charger: int | None, names: dict[int, str | None]) -> str | None:
    """Return the id of `charger` (primary key), None for none, or if it was deleted; `names` caches ids."""
    if charger is None:
        return None
    if charger not in names:
        names[charger] = await in_db_thread(_charger_id)(charger)
    return names[charger]


def _charger_id(charger: int) -> str | None:
    return Charger.objects.filter(pk=charger).values_list("identity", flat=True).first()


def _as_text(event: Mapping[str, Any]) -> bytes:
    """Return the lines of one event; without an id where it is not stored, so that clients resume at a stored one."""
    payload = {name: event[name] for name in ("id", "kind", "at", "charger_id", "body")}
    id_line = b"" if event["id"] is None else b"id: %d\n" % event["id"]
    return b"%bevent: %b\ndata: %b\n\n" % (id_line, event["kind"].encode(), orjson.dumps(payload))
