"""Messages as large as chargers send them, such as the readings of a day in one StopTransaction."""

import json

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.live import eventually
from tests.support.others import others_undisturbed

LARGEST = 8 * 2**20
KINDS = [
    {"measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    {"measurand": "Power.Active.Import", "unit": "W"},
    *({"measurand": "Current.Import", "unit": "A", "phase": phase} for phase in ("L1", "L2", "L3")),
    *({"measurand": "Voltage", "unit": "V", "phase": phase} for phase in ("L1", "L2", "L3")),
]


def of_a_day():
    """Return transactionData with a reading each minute, 1.4 MB."""
    return [
        {
            "timestamp": f"2025-02-26T{minute // 60:02}:{minute % 60:02}:00.000Z",
            "sampledValue": [
                {"value": str(1000 + minute), "context": "Sample.Periodic", "location": "Outlet", **kind}
                for kind in KINDS
            ],
        }
        for minute in range(1440)
    ]


def a_stop(transaction_id, readings):
    end = {"transactionId": transaction_id, "meterStop": 9000, "timestamp": "2025-02-27T00:00:00Z"}
    return json.dumps([2, "stop", "StopTransaction", end | {"transactionData": readings}])


def pieces(text, size):
    """Return the fragments of a message; the client sends a text that is no iterable in one frame."""
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("fragment", [None, 4096, 125], ids=["whole", "4 KiB", "125 bytes"])
def test_a_stop_with_the_samples_of_a_day_is_stored_completely(live, charger, fragment):
    transaction_id = charger.start()
    text = a_stop(transaction_id, of_a_day())
    assert len(text) > 1_300_000
    charger.socket.send(pieces(text, fragment) if fragment else text)
    assert json.loads(charger.socket.recv(timeout=20)) == [3, "stop", {}]
    shown = charger.transaction(transaction_id)
    assert (shown["energy_wh"], shown["status"]) == (8000, "Completed")
    counted = live.rows("SELECT count(*) FROM transactions_metervalue WHERE transaction_id = %s", transaction_id)
    assert counted == [(1440 * len(KINDS),)]
    assert charger.call("Heartbeat", {})


def test_a_large_stop_of_an_unknown_transaction_is_stored_completely(charger):
    readings = of_a_day()
    charger.socket.send(a_stop(999_999_999, readings))
    assert json.loads(charger.socket.recv(timeout=20)) == [3, "stop", {}]
    kept = eventually(lambda: charger.orphans)[0]
    assert kept["payload"]["transactionData"] == readings


@pytest.mark.parametrize("sent", ["x" * (LARGEST + 1), ["x" * 2**20] * 9], ids=["whole", "in fragments"])
def test_a_message_that_is_too_large_closes_with_1009_and_is_logged(live, charger, sent):
    with pytest.raises(ConnectionClosed) as closed:  # perhaps before all of it is sent
        charger.socket.send(sent)
        charger.socket.recv(timeout=10)
    assert closed.value.rcvd.code == 1009
    path = f"/api/ocpp/messages/?charger_id={charger.identity}&is_error=true"
    found = eventually(lambda: live.get(path)["results"])
    assert found[0]["frame"].startswith("closed with 1009")


def test_a_message_as_large_as_the_limit_is_accepted(charger):
    frame = json.dumps([2, "1", "DataTransfer", {"vendorId": "x", "data": ""}])
    text = frame.replace('"data": "', '"data": "' + "y" * (LARGEST - len(frame)))
    assert len(text) == LARGEST
    charger.socket.send(text)
    assert json.loads(charger.socket.recv(timeout=20))[:2] == [3, "1"]


def test_a_large_message_does_not_delay_others(live, charger):
    text = a_stop(charger.start(), of_a_day())
    with others_undisturbed(live) as others:
        others.are_each_answered(5)
        charger.socket.send(text)
        others.are_each_answered(1)
        assert json.loads(charger.socket.recv(timeout=30)) == [3, "stop", {}]
