"""Server-sent events: live ones, and the missed ones after a reconnect."""

import json
import threading
import time
from contextlib import contextmanager

import requests
from redis import Redis

from chargers.services.events import CHANNEL
from tests.support.builders import NOON
from tests.support.live import an_id, eventually, exchange


@contextmanager
def listening(live, query="", **headers):
    """The events of a stream, one after the other."""
    url = f"{live.url}/api/ocpp/events/stream/?{query}"
    with requests.get(url, headers=headers, stream=True, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        lines = answer.iter_lines(chunk_size=1)
        assert next(lines) == b"retry: 1000"
        if "Last-Event-ID" not in headers:  # from where to go on, should nothing happen
            assert next(lines) == b""
            assert next(lines).startswith(b"id: ")
        yield (json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: "))


def last_event_id(live):
    return max((event["id"] for event in live.get("/api/ocpp/events/?page_size=1")["results"]), default=0)


def test_connects_and_disconnects_are_streamed(live):
    charger_id = an_id()
    with listening(live, f"charger_id={charger_id}") as reply:
        with live.charger(charger_id):
            pass
        kinds = [next(reply)["kind"] for _ in range(2)]
    assert kinds == ["charger.online", "charger.offline"]


def test_missed_events_are_sent_first_after_the_last_event_id(live):
    known, charger_id = last_event_id(live), an_id()
    with live.charger(charger_id):
        eventually(lambda: any(e["charger_id"] == charger_id for e in live.get("/api/ocpp/events/")["results"]))
        with listening(live, f"charger_id={charger_id}", **{"Last-Event-ID": str(known)}) as reply:
            event = next(reply)
    assert event["kind"] == "charger.online"
    assert event["charger_id"] == charger_id
    assert event["id"] > known


def test_the_event_that_the_client_names_is_not_sent_again_when_it_is_published_late(live):
    with live.charger(charger_id := an_id()):
        path = f"/api/ocpp/events/?charger_id={charger_id}"
        (online,) = eventually(lambda: live.get(path)["results"])
        published = [online | {"charger": 0}, online | {"charger": 0, "id": None}]

        def publish():
            for _ in range(50):  # because nothing shows when the stream listens
                Redis.from_url(live.stack.env["REDIS_URL"]).publish(CHANNEL, json.dumps(published))
                time.sleep(0.1)

        with listening(live, f"charger_id={charger_id}", **{"Last-Event-ID": str(online["id"])}) as reply:
            threading.Thread(target=publish, daemon=True).start()
            assert next(reply)["id"] is None


def test_messages_for_pages_do_not_end_a_stream_that_resumes(live):
    """They have neither an id nor the id of the charger, see `events.notify_live`."""
    with live.charger(charger_id := an_id()):
        path = f"/api/ocpp/events/?charger_id={charger_id}"
        (online,) = eventually(lambda: live.get(path)["results"])
        for_pages = {"kind": "command", "at": online["at"], "charger": 0, "body": {}}
        published = [for_pages, online | {"charger": 0, "id": None}]

        def publish():
            for _ in range(50):  # because nothing shows when the stream listens
                Redis.from_url(live.stack.env["REDIS_URL"]).publish(CHANNEL, json.dumps(published))
                time.sleep(0.1)

        with listening(live, f"charger_id={charger_id}", **{"Last-Event-ID": str(online["id"])}) as reply:
            threading.Thread(target=publish, daemon=True).start()
            assert [next(reply)["id"] for _ in range(3)] == [None] * 3


def test_a_finished_command_is_streamed(live):
    charger_id = an_id()
    with (
        live.charger(charger_id, ClearCache={"status": "Accepted"}),
        listening(live, "kind=command.finished") as reply,
    ):
        task = live.ask(charger_id, "ClearCache", {})
        event = next(event for event in reply if event["charger_id"] == charger_id)
    assert event["body"]["task_id"] == task["task_id"]
    assert event["body"]["simulated"] is False


def test_readings_are_streamed_without_an_id(live):
    charger_id = an_id()
    reading = [{"timestamp": NOON, "sampledValue": [{"value": "1500"}]}]
    with (
        live.socket(charger_id) as socket,
        listening(live, f"charger_id={charger_id}&kind=transaction.updated") as reply,
    ):
        begun = {"connectorId": 1, "idTag": "T", "meterStart": 1000, "timestamp": NOON}
        transaction_id = exchange(socket, "1", "StartTransaction", begun)[2]["transactionId"]
        exchange(
            socket, "2", "MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": reading}
        )
        event = next(reply)
    assert (event["id"], event["charger_id"], event["body"]["energy_wh"]) == (None, charger_id, 500)


def test_an_invalid_last_event_id_is_refused(live):
    status, reply, _ = live.request("GET", "/api/ocpp/events/stream/?after=yesterday")
    assert status == 400
    assert "after" in reply["fields"]
