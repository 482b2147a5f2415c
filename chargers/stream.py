"""Events as they happen, as server-sent events (WHATWG HTML §9.2)."""

import asyncio
from datetime import timedelta

import orjson
from redis.exceptions import RedisError

from chargers import access, events
from chargers.in_db_thread import in_db_thread
from chargers.live import Ended, hub
from chargers.models import Charger, Event
from chargers.models.events import KINDS

LIFETIME = 60.0  # seconds after which a client asks again, and whether it may is looked at again
SILENCE = 15.0  # seconds after which a comment keeps proxies from giving up
AT_ONCE = 500  # events read up in one go
# An event with a smaller id may be committed after one with a greater: so much of what came last is told again.
OVERLAP = timedelta(seconds=5)
COLUMNS = {"kind": "kind", "charger_id": "charger__charger_id"}  # what a stream may be narrowed by


async def stream(user, wanted, after):
    """The text of the stream, for `user`: events with the members `wanted` and, first, those since the id `after`."""
    yield b"retry: 1000\n\n"
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + LIFETIME
    try:
        async with hub().listening(events.CHANNEL) as listener:
            if after is None:  # from where to go on, should nothing happen before it comes again
                yield b"id: %d\n\n" % await in_db_thread(_newest)()
            else:
                async for event in _missed(user, wanted, after):
                    yield _as_text(event)
            reachable, names = await in_db_thread(access.reachable)(user), {}
            while (left := ends_at - loop.time()) > 0:
                told = await listener.next(min(SILENCE, left))
                if told is None:
                    yield b": still here\n\n"
                for event in told or ():
                    if event["kind"] in KINDS and (reachable is None or event["charger"] in reachable):
                        event["charger_id"] = event["charger_id"] or await _name(event["charger"], names)
                        if event["charger_id"] and all(event[name] == value for name, value in wanted.items()):
                            yield _as_text(event)
    except (Ended, RedisError):
        return  # the client comes again, with the id of the last event it was told


async def _missed(user, wanted, after):
    """What is kept since the event `after`, in the order of ids."""
    last = 0
    while page := await in_db_thread(_page)(user, wanted, after, last):
        for event in page:
            yield event.as_told()
        last = page[-1].pk


def _newest():
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _page(user, wanted, after, last):
    rows = Event.objects.filter(**{COLUMNS[name]: value for name, value in wanted.items()})
    missed = access.within(user, rows.select_related("charger")).order_by("pk")
    return list(missed.filter(pk__gt=max(last, _beginning(after))).exclude(pk=after)[:AT_ONCE])


def _beginning(after):
    """The id behind which it is read again: OVERLAP before the event `after`, or before the last one that is kept."""
    at = Event.objects.filter(pk__lte=after).order_by("-pk").values_list("at", flat=True).first()
    if at is None:
        return after
    again = Event.objects.filter(at__gte=at - OVERLAP, at__lte=at + OVERLAP)
    return min([after, *again.values_list("pk", flat=True)]) - 1


async def _name(charger, names):
    """The id of `charger` (primary key), None where it is gone meanwhile; `names` are those that are known."""
    if charger not in names:
        names[charger] = await in_db_thread(_charger_id)(charger)
    return names[charger]


def _charger_id(charger):
    return Charger.objects.filter(pk=charger).values_list("charger_id", flat=True).first()


def _as_text(event):
    """What is not kept has no id: whoever comes again names the last one that has."""
    told = {name: event[name] for name in ("id", "kind", "at", "charger_id", "body")}
    beginning = b"" if event["id"] is None else b"id: %d\n" % event["id"]
    return b"%bevent: %b\ndata: %b\n\n" % (beginning, event["kind"].encode(), orjson.dumps(told))
