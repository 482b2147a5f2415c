"""TransactionEvents in random orders, with repetitions, losses and reconnects, against a model of each session."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.station import TAG, with_tags
from tests.support.station201 import Station201

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHARGERS, SESSIONS = 6, 3
STORED = """
SELECT t.own_reference, t.evse_id, t.connector_id, t.id_tag, t.start_time, t.stop_time, t.stop_reason, t.meter_start,
    t.meter_stop, t.energy_wh, t.charging_state, t.missing_since IS NOT NULL,
    (SELECT array_agg(e.seq_no ORDER BY e.seq_no) FROM transactions_transactionevent e WHERE e.transaction_id = t.id),
    (SELECT array_agg(m.number::int ORDER BY m.number) FROM transactions_metervalue m WHERE m.transaction_id = t.id)
FROM transactions_transaction t JOIN chargers_charger c ON c.id = t.charger_id WHERE c.identity = %s
"""
COUNTED = "transaction.started", "transaction.stopped"
EVENTS = """
SELECT e.kind, e.body->>'transaction_id', count(*)
FROM chargers_event e JOIN chargers_charger c ON c.id = e.charger_id
WHERE c.identity = %s AND e.kind = ANY(%s) GROUP BY 1, 2
"""


def at(minutes):
    return BEGAN + timedelta(minutes=minutes)


def a_session(rng, reference, evse):
    """The events of one session in the order in which they happened."""
    wh, events = rng.randrange(1000, 90_000), []

    def happens(kind, trigger, state="", context="Sample.Periodic", info=None, **members):
        moment = at(5 * len(events)).isoformat().replace("+00:00", "Z")
        value = {"value": wh, "context": context}
        about = {"transactionId": reference, **({"chargingState": state} if state else {}), **(info or {})}
        event = {"eventType": kind, "triggerReason": trigger, "timestamp": moment, "seqNo": len(events)}
        values = [{"timestamp": moment, "sampledValue": [value]}]
        events.append(event | {"transactionInfo": about, "meterValue": values} | members)

    token = {"idToken": {"idToken": TAG, "type": "ISO14443"}}
    happens("Started", "CablePluggedIn", "EVConnected", "Transaction.Begin")
    happens("Updated", "Authorized", **token)
    happens("Updated", "ChargingStateChanged", "Charging", evse={"id": evse, "connectorId": 1})
    for _ in range(rng.randrange(1, 6)):
        wh += rng.randrange(1, 3000)
        happens("Updated", "MeterValuePeriodic", offline=rng.random() < 0.5)
    wh += rng.randrange(1, 3000)
    happens("Ended", "EVDeparted", "Idle", "Transaction.End", {"stoppedReason": "EVDisconnected"})
    return events


def the_register(event):
    return event["meterValue"][0]["sampledValue"][0]["value"]


def as_stored(events):
    """The row of STORED that `events`, those that were delivered, must have made."""
    delivered = {event["seqNo"]: event for event in events}
    numbers, kinds = sorted(delivered), {event["eventType"]: event for event in events}
    first, end = delivered[numbers[0]], kinds.get("Ended")
    placed = next((event["evse"] for event in events if "evse" in event), {})
    states = [delivered[n]["transactionInfo"].get("chargingState", "") for n in numbers]
    registers = [the_register(delivered[n]) for n in numbers]
    begun = the_register(kinds["Started"]) if "Started" in kinds else None
    base = registers[0] if begun is None else begun
    moment = lambda event: datetime.fromisoformat(event["timestamp"])  # noqa: E731
    return (
        first["transactionInfo"]["transactionId"],
        *(placed.get("id"), placed.get("connectorId")),
        TAG if any("idToken" in event for event in events) else "",
        *(moment(first), moment(end) if end else None, "EVDisconnected" if end else ""),
        *(begun, the_register(end) if end else None, max(registers) - base),
        next((state for state in reversed(states) if state), ""),
        numbers != list(range(numbers[-1] + 1)),
        *(numbers, sorted(registers)),
    )


class Wild(Station201):
    """A station that delivers in any order, again and again, and loses its connection before answers."""

    def deliver(self, rng, events):
        """Send all `events` until each was acknowledged; return nothing while one was not."""
        waiting = [*events, *rng.sample(events, len(events) // 3)]
        rng.shuffle(waiting)
        while waiting:
            with suppress(ConnectionClosed, OSError):
                if rng.random() < 0.15:
                    self.reconnect()
                event = waiting[0]
                if rng.random() < 0.1:  # the answer is not read, so the event is sent again
                    self.send_unread(event)
                    self.reconnect()
                    continue
                answer = self.send("TransactionEvent", event)
                assert answer[0] == 3, answer
                waiting.pop(0)

    def send_unread(self, event):
        self.socket.send(json.dumps([2, f"unread-{next(self.numbers)}", "TransactionEvent", event]))


def lives(live, number, seed):
    """One charger: returns what it delivered, by session."""
    rng = random.Random(seed * 1000 + number)
    with Wild(live) as station:
        station.connect().booted()
        sessions = [a_session(rng, f"{station.identity}-{n}", 1 + n % 2) for n in range(SESSIONS)]
        kept = [[event for event in one if rng.random() > 0.07] or one for one in sessions]
        station.deliver(rng, [event for one in kept for event in one])
        return station.identity, kept


@pytest.fixture(scope="session")
def system(live):
    """The stack, with the token of the sessions."""
    return with_tags(live)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_is_stored_once_and_the_totals_are_right(system, seed):
    with ThreadPoolExecutor(CHARGERS) as pool:
        lived = list(pool.map(lambda number: lives(system, number, seed), range(CHARGERS)))
    for identity, sessions in lived:
        stored = {row[0]: row for row in system.rows(STORED, identity)}
        wanted = {row[0]: row for row in map(as_stored, sessions)}
        assert stored == wanted
        counts = system.rows(EVENTS, identity, list(COUNTED))
        assert {count for *_, count in counts} == {1}, counts
