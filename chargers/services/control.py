"""Control messages to the process that holds the socket of a charger, through the channel layer."""

from collections.abc import Sequence

from channels.layers import get_channel_layer
from django.db import transaction

from chargers.models import Charger
from chargers.services.presence import Presence, key
from core.redis.connections import async_redis, attempt

CREDENTIALS_CHANGED = 4003  # close code: the charger must reconnect with its new credentials
WATCH_S = 60  # for so long frames are published after a request to watch


def close_socket(charger_id: str, code: int, reason: str) -> None:
    """Request the process of a charger's socket to close it, see `_send`."""
    _send(charger_id, {"type": "ocpp.close", "code": code, "reason": reason})


def close_for_new_credentials(charger_id: str) -> None:
    """Close the socket of a charger whose key or security profile was changed."""
    close_socket(charger_id, CREDENTIALS_CHANGED, "Its key or security profile was changed")


def change_settings(charger: Charger) -> None:
    """Apply the columns `Charger.of_socket` to the charger's open socket, see `_send`."""
    _send(charger.identity, {"type": "ocpp.settings", **charger.of_socket})


async def watch(charger: Charger, seconds: int = WATCH_S) -> None:
    """Publish every frame of `charger` to its watchers for `seconds`, also if it is not stored.

    Watchers call this again every 20 s, because the charger may have reconnected by another socket. Raise
    `RedisError`.
    """
    entry = await async_redis().get(key(charger.identity))
    if connection := Presence.loads(entry):
        await async_redis().publish(
            connection.channel, _serialized(connection, {"type": "ocpp.watch", "seconds": seconds})
        )


async def close_replaced(connections: Sequence[Presence]) -> None:
    """Request the processes of sockets that newer ones have replaced to close them. Raise `RedisError`."""
    async with async_redis().pipeline(transaction=False) as pipe:
        for connection in connections:
            pipe.publish(connection.channel, _serialized(connection, {"type": "ocpp.close"}))
        await pipe.execute()


def _send(charger_id: str, message: dict) -> None:
    """Publish `message` to the process of a charger's socket, after the commit if a transaction is open.

    A transaction that changes a charger has locked its row. If it waited for a Redis that hangs, every message of the
    charger, and those of the same batch, would wait as long.
    """

    def send() -> None:
        entry = attempt(lambda client: client.get(key(charger_id)))
        if connection := Presence.loads(entry):
            publish(connection, message)

    transaction.on_commit(send)


def publish(connection: Presence, message: dict) -> None:
    """Publish `message` to the socket of `connection`.

    A lasting client is used, because `async_to_sync(layer.send)` takes several times as long (see
    docs/decisions/0003). Pub/sub delivers at most once.
    """
    attempt(lambda client: client.publish(connection.channel, _serialized(connection, message)))


def _serialized(connection: Presence, message: dict) -> bytes:
    """Return `message` in the wire format of the channel layer, with the session of its socket in the process."""
    return get_channel_layer().serialize(message | {"session": connection.session})
