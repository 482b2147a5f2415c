"""When `last_seen` is written: at once while few chargers send, with a delay while many do, and before a close."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from chargers.models import Charger
from chargers.services import connections
from gateway.batch_writer import BatchWriter
from gateway.commits import Entry
from gateway.last_seen import FEW, MAX_DELAY_S, MAX_ROWS, LastSeen
from tests.support.builders import a_charger, open_socket

NOW = datetime.now(UTC)


def noted(number):
    times = LastSeen()
    for charger in range(number):
        times.note(charger, NOW)
    return times


def test_times_of_few_chargers_are_due_at_once():
    times = noted(FEW)
    assert times.take_due() == dict.fromkeys(range(FEW), NOW)
    assert times.due_in_s is None


def test_times_of_many_chargers_are_due_later_and_in_parts():
    times = noted(MAX_ROWS + 1)
    assert times.take_due() == {}
    assert 0 < times.due_in_s <= MAX_DELAY_S
    times.since -= MAX_DELAY_S
    assert list(times.take_due()) == list(range(MAX_ROWS))
    assert times.due_in_s == 0
    times.note(0, NOW)
    assert list(times.take_due()) == [MAX_ROWS]
    assert 0 < times.due_in_s <= MAX_DELAY_S


def test_an_earlier_time_does_not_replace_a_later_one():
    times = noted(1)
    times.note(0, NOW - timedelta(seconds=1))
    assert times.take_due() == {0: NOW}


@pytest.mark.django_db
def test_a_close_is_recorded_with_the_time_of_the_last_frame():
    chargers = [a_charger() for _ in range(FEW + 2)]
    writer, opened = BatchWriter(loop=asyncio.new_event_loop()), open_socket(chargers[0])
    last = datetime.now(UTC)
    writer.seen.extend((charger.pk, last) for charger in chargers)
    closed = connections.ConnectionClosed(chargers[0].pk, opened)
    writer.entries.append(Entry(connections.close_sockets, closed))
    assert writer._write(writer._next_batch())
    first, second, *_ = Charger.objects.order_by("pk")
    assert (first.is_online, first.last_seen) == (False, last)
    assert second.last_seen is None
    writer.loop.close()
