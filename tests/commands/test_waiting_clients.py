"""Clients that wait for the end of a task leave their connections to Redis to later clients."""

import pytest

from commands.services import mailbox
from core.redis.connections import sync_redis

ONE, OTHER = "waiting-client:1", "waiting-client:2"


@pytest.fixture(autouse=True)
def unused():
    """The connections that later clients may use; none is left of an earlier test."""
    while mailbox._unused_subscriptions:
        mailbox._unused_subscriptions.pop().close()
    return mailbox._unused_subscriptions


def subscribers():
    return {client["id"] for client in sync_redis().client_list("pubsub")}


def first_message(subscription):
    while (message := subscription.get_message(timeout=10)) is None:
        pass
    return message["type"], message["channel"], message["data"]


def use(channel):
    with mailbox._subscription(channel) as subscription:
        sync_redis().publish(channel, "done")
        assert first_message(subscription) == ("message", channel, "done")
        return subscription


def test_a_later_client_uses_the_connection_of_an_earlier_one(unused):
    assert use(ONE) is use(OTHER) is use(ONE)
    assert len(unused) == 1


def test_clients_at_the_same_time_have_a_connection_each(unused):
    with mailbox._subscription(ONE):
        use(OTHER)
    assert len(unused) == 2


def test_a_message_for_an_earlier_client_does_not_reach_a_later_one():
    with mailbox._subscription(ONE):
        sync_redis().publish(ONE, "not read")
    use(OTHER)


def test_a_connection_that_redis_has_closed_meanwhile_is_opened_again():
    before = subscribers()
    use(ONE)
    for client in subscribers() - before:
        sync_redis().client_kill_filter(_id=client)
    use(OTHER)


def test_the_connection_of_a_client_that_fails_is_closed(unused):
    with pytest.raises(ZeroDivisionError), mailbox._subscription(ONE):
        raise ZeroDivisionError
    assert not unused


def test_more_connections_than_the_limit_are_closed(unused, monkeypatch):
    monkeypatch.setattr(mailbox, "MAX_UNUSED_SUBSCRIPTIONS", 1)
    with mailbox._subscription(ONE):
        use(OTHER)
    assert len(unused) == 1
