"""TransactionEvents of OCPP 2.0.1 of a session that began at BEGAN."""

import threading
from datetime import UTC, datetime, timedelta

from django.db import connection

from tests.support.builders import tell

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(minutes):
    return (BEGAN + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def reading(minutes, wh, context="Sample.Periodic", **sampled):
    return {"timestamp": at(minutes), "sampledValue": [{"value": wh, "context": context, **sampled}]}


def an_event(kind, number, minutes, trigger="MeterValuePeriodic", info=None, **members):
    return {
        "eventType": kind,
        "seqNo": number,
        "timestamp": at(minutes),
        "triggerReason": trigger,
        "transactionInfo": {"transactionId": "T-1", **(info or {})},
        **members,
    }


def send(charger, *events):
    return [tell(charger, "TransactionEvent", **event) for event in events]


def in_another_process(work):
    """Run `work` with a connection of its own, and return its result."""
    results = []

    def run():
        results.append(work())
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return results[0]
