"""Presence of chargers after lost connections, and after they reconnect to another web process."""

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from chargers.services import presence
from chargers.services.presence import Presence
from core.redis.connections import async_redis, sync_redis
from tests.support.live import an_id, eventually, exchange
from tests.support.raw_socket import Wire, frame

OFFLINE_WITHIN_S = 60  # a ping after 20 s, 20 s for its pong, and 10 s for data that is not written yet
LONG_ANSWERS = frame(json.dumps([2, "1", "x" * 100, {}]).encode()) * 1000
CLIENT = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], subprotocols=["ocpp1.6"]) as socket:
    print("connected", flush=True)
    socket.recv()
"""


def connected(live, charger_id):
    return live.get(f"/api/ocpp/status/{charger_id}/")["status"]["connected"]


@pytest.fixture
def stopped(live):
    """A charger whose process is stopped while it is connected. Its kernel still acknowledges packets."""
    charger_id = an_id()
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, f"{live.ws_url}/{charger_id}"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "connected\n"
    os.kill(process.pid, signal.SIGSTOP)
    yield charger_id
    process.kill()
    process.communicate()


@pytest.fixture
def not_reading(live):
    """A charger that reads nothing and sends until the server reads no more, so that answers cannot be written."""
    charger_id = an_id()
    with Wire(live.ws_url, charger_id).socket as wire:
        wire.settimeout(2)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(TimeoutError):
            while True:
                wire.sendall(LONG_ANSWERS)
        yield charger_id


def test_a_charger_that_is_lost_without_a_close_is_offline_within_a_minute(live, stopped, not_reading):
    assert connected(live, stopped)
    assert connected(live, not_reading)
    eventually(lambda: not connected(live, stopped) and not connected(live, not_reading), OFFLINE_WITHIN_S)


@pytest.fixture
def other_process(live):
    """Open a socket at the web process that terminates TLS, which serves no plain socket."""
    trusting = ssl.create_default_context()
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2  # because of threads, see `trusting` of the security cases
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # the certificate is self-signed
    url = f"wss://localhost:{live.stack.env['TLS_PORT']}/ws/ocpp"
    return lambda charger_id: connect(f"{url}/{charger_id}", subprotocols=["ocpp1.6"], ssl=trusting)


def is_commanded(live, charger_id, socket):
    """Return whether a command is received by `socket`, and its answer processed."""
    task = live.ask(charger_id, "ClearCache", {})
    _, message_id, action, _ = json.loads(socket.recv(20))
    socket.send(json.dumps([3, message_id, {"status": "Accepted"}]))
    return action == "ClearCache" and live.finished(task)["outcome"] == "answered"


def entry(charger_id):
    return Presence.loads(sync_redis().get(presence.key(charger_id)))


def test_the_sockets_of_a_process_share_a_channel_and_are_commanded_each(live):
    with ExitStack() as stack:
        sockets = {
            charger_id: stack.enter_context(live.socket(charger_id)) for charger_id in (an_id() for _ in range(6))
        }
        for socket in sockets.values():
            assert exchange(socket, "1", "Heartbeat", {})[0] == 3
        assert len({entry(charger_id).channel for charger_id in sockets}) < len(sockets)  # of a few processes
        assert all(is_commanded(live, charger_id, socket) for charger_id, socket in sockets.items())


def test_a_charger_that_reconnects_to_another_process_is_commanded_there_at_once(live, other_process):
    with live.socket(charger_id := an_id()) as older, other_process(charger_id) as newer:
        assert exchange(newer, "1", "Heartbeat", {})[0] == 3
        assert is_commanded(live, charger_id, newer)
        with pytest.raises(ConnectionClosed) as closed:
            older.recv(5)
        assert closed.value.rcvd.code == 4001


def test_the_end_of_an_old_socket_never_removes_the_entry_of_a_newer_one(live, other_process):
    charger_id = an_id()
    with other_process(charger_id) as first, live.socket(charger_id) as second, other_process(charger_id) as third:
        assert exchange(third, "1", "Heartbeat", {})[0] == 3
        for old in (second, first):  # not in the order of connecting
            old.close()
            time.sleep(0.5)
            assert connected(live, charger_id)
            assert is_commanded(live, charger_id, third)
    eventually(lambda: not connected(live, charger_id))


def test_a_late_registration_or_renewal_of_an_old_socket_changes_nothing():
    older, newer = (Presence.opened("channel", datetime(2026, 1, day, tzinfo=UTC), "ocpp1.6") for day in (1, 2))
    charger_id = an_id()

    async def register(entry):
        return (await presence.register([(charger_id, entry)]))[0]

    async def renew(entry):
        return (await presence.renew([(charger_id, entry)]))[0]

    async def scenario():
        assert await register(newer) is None
        assert await register(older) == older
        assert await presence.register([(charger_id, older), (charger_id, newer)]) == [older, None]
        assert (await renew(older), await renew(newer)) == (False, True)
        sync_redis().delete(presence.key(charger_id))
        assert (await renew(older), await renew(newer), await renew(older)) == (True, True, False)
        await presence.leave(charger_id, newer)
        await async_redis().aclose()

    asyncio.run(scenario())


def test_a_charger_that_disconnects_after_an_answer_is_offline_in_the_database(live):
    charger_id = an_id()
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        live.finished(live.ask(charger_id, "ClearCache", {}))
    left = "SELECT disconnected_at >= connected_at FROM chargers_charger WHERE identity = %s"
    assert eventually(lambda: live.rows(left, charger_id)[0][0], seconds=20)
