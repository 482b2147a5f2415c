"""Sites, sessions that have ended, and events of availability."""

import random
from datetime import UTC, datetime, timedelta

from chargers.models import Charger, Event, Site
from tests.support.builders import a_charger, a_transaction, tell
from transactions.models import Transaction


def a_site(name="Depot", time_zone="Europe/Berlin", **columns):
    return Site.objects.create(name=name, time_zone=time_zone, **columns)


def a_session(charger, start, wh=1000, tag="ABC", hours=1):
    """A session that began at `start` (ISO 8601 or datetime) and has ended; with None the energy is unknown."""
    began = start if isinstance(start, datetime) else datetime.fromisoformat(start)
    session = a_transaction(charger, timestamp=began.isoformat(), idTag=tag, connectorId=random.randint(1, 9))
    end = (began + timedelta(hours=hours)).isoformat()
    meter = {"meterStop": -1 if wh is None else 1000 + wh}
    tell(charger, "StopTransaction", transactionId=session.pk, timestamp=end, **meter)
    return Transaction.objects.get(pk=session.pk)


def a_port(name="A", connectors=1, **columns):
    """A charger in Berlin that was added in September, with EVSEs 1 to `connectors`."""
    charger = a_charger(name, connected_at=datetime(2025, 9, 1, tzinfo=UTC), **columns)
    Charger.objects.filter(pk=charger.pk).update(created_at=datetime(2025, 9, 1, tzinfo=UTC))
    for evse in range(1, connectors + 1):
        charger.connectors.create(
            evse_id=evse, connector_id=evse, status="Available", timestamp="2025-09-01T00:00Z",
            received_at="2025-09-01T00:00Z", error_code="NoError",
        )  # fmt: skip
    return charger


def happened(charger, kind, at, **body):
    return Event.objects.create(charger=charger, kind=kind, at=datetime.fromisoformat(at), body=body)


def offline(charger, begin, end=None):
    happened(charger, "charger.offline", begin, since=begin)
    if end:
        happened(charger, "charger.online", end, since=end)


def status(charger, at, status, evse=1, **codes):
    happened(charger, "connector.status", at, evse_id=evse, connector_id=evse, status=status, **codes)
