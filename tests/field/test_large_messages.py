"""Messages of more than a mebibyte, such as the stop of a day with all its samples."""

import json
import threading
import time

import pytest
import websockets

from tests.live import an_id, eventually, exchange

NOON = "2026-01-02T12:00:00Z"


def started(live, socket):
    id_tag = an_id()
    payload = {"connectorId": 1, "idTag": id_tag, "meterStart": 0, "timestamp": NOON}
    return exchange(socket, "start", "StartTransaction", payload)[2]["transactionId"]


def a_stop(transaction, samples):
    """A StopTransaction with `samples` readings, of some 240 bytes each."""
    data = [
        {
            "timestamp": f"2026-01-02T{12 + n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z",
            "sampledValue": [
                {
                    "value": str(n),
                    "context": "Sample.Periodic",
                    "format": "Raw",
                    "measurand": "Energy.Active.Import.Register",
                    "location": "Outlet",
                    "unit": "Wh",
                }
            ],
        }
        for n in range(samples)
    ]
    payload = {"transactionId": transaction, "meterStop": samples, "timestamp": NOON, "transactionData": data}
    return json.dumps([2, "stop", "StopTransaction", payload])


def in_fragments(text, size=4096):
    return (text[at : at + size] for at in range(0, len(text), size))


@pytest.mark.parametrize("cut", [lambda text: text, in_fragments], ids=["whole", "in fragments"])
def test_the_stop_of_a_day_is_stored_whole(live, cut):
    with live.socket(an_id(), compression=None) as socket:
        transaction = started(live, socket)
        text = a_stop(transaction, 7000)
        assert 1_400_000 < len(text) < 2_000_000
        socket.send(cut(text))
        assert json.loads(socket.recv(timeout=30))[:2] == [3, "stop"]
        count = "SELECT count(*), count(DISTINCT timestamp), max(value::numeric) FROM transactions_metervalue"
        assert live.rows(f"{count} WHERE transaction_id = %s", transaction) == [(7000, 7000, 6999)]
        ended = "SELECT meter_stop, stop_received_at IS NOT NULL FROM transactions_transaction WHERE id = %s"
        assert live.rows(ended, transaction) == [(7000, True)]
        assert exchange(socket, "after", "Heartbeat", {})[0] == 3


@pytest.mark.parametrize("cut", [lambda text: text, in_fragments], ids=["whole", "in fragments"])
def test_a_larger_one_closes_with_1009_and_is_found_in_the_log(live, cut):
    # Perhaps it is reset, before its code can be read.
    with live.socket(charger_id := an_id()) as socket, pytest.raises(websockets.ConnectionClosed):
        socket.send(cut("[" + " " * 8 * 2**20))
        socket.recv(timeout=10)
    found = eventually(lambda: live.get(f"/api/ocpp/messages/?charger_id={charger_id}&is_error=true")["results"])
    assert found[0]["frame"].startswith("closed with 1009")


def test_others_are_answered_meanwhile(live):
    """Of sockets in both web processes."""
    sockets = [live.socket(an_id(), compression=None) for _ in range(8)]
    waits, over = [], threading.Event()

    def beat(socket):
        number = 0
        while not over.is_set():
            began, number = time.monotonic(), number + 1
            exchange(socket, str(number), "Heartbeat", {}, timeout=30)
            waits.append(time.monotonic() - began)
            time.sleep(0.01)

    with live.socket(an_id(), compression=None) as large:
        text = a_stop(started(live, large), 7000)
        threads = [threading.Thread(target=beat, args=[socket]) for socket in sockets]
        for thread in threads:
            thread.start()
        time.sleep(1)
        before = max(waits)
        waits.clear()
        large.send(text)
        began = time.monotonic()
        assert json.loads(large.recv(timeout=30))[0] == 3
        took = time.monotonic() - began
        over.set()
        for thread in threads:
            thread.join()
    for socket in sockets:
        socket.close()
    print(f"slowest heartbeat {before:.3f} s before, {max(waits):.3f} s beside a stop that took {took:.3f} s")
    assert max(waits) < 3
