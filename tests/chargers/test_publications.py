"""A publication reaches every listener of a process, and costs nothing without listeners."""

import asyncio
import json

import pytest

from core.redis.connections import sync_redis
from core.redis.listening import MAX_QUEUED_MESSAGES, Ended, Hub, Listener
from tests.support.live import an_id


def published(channel, message):
    sync_redis().publish(channel, json.dumps(message))


def test_a_listener_receives_only_its_channels():
    one, two = an_id(), an_id()

    async def heard():
        hub = Hub()
        async with hub.listening(one) as first, hub.listening(one, two) as second:
            published(one, [1])
            published(two, [2])
            return [await first.next(5), await second.next(5), await second.next(5), await first.next(0.1)]

    assert asyncio.run(heard()) == [[1], [1], [2], None]


def test_a_listener_to_a_silent_channel_rarely_pings_redis():
    def pings():
        return sync_redis().info("commandstats").get("cmdstat_ping", {}).get("calls", 0)

    async def listened():
        async with Hub().listening(an_id()) as listener:
            return await listener.next(1)

    before = pings()
    assert asyncio.run(listened()) is None
    assert pings() - before < 20  # those of other processes among them


def test_redis_is_read_only_while_there_are_listeners():
    channel = an_id()

    async def heard():
        hub = Hub()
        for number in range(3):
            async with hub.listening(channel) as listener:
                published(channel, [number])
                assert await listener.next(5) == [number]
            assert hub.reader is None
            assert not hub.listeners
        await asyncio.sleep(0.5)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert not asyncio.run(heard())


def test_a_slow_listener_is_notified_and_does_not_delay_others():
    listener = Listener()
    for number in range(MAX_QUEUED_MESSAGES + 1):
        listener.deliver([number])

    async def next_one():
        with pytest.raises(Ended):
            await listener.next(1)

    asyncio.run(next_one())
