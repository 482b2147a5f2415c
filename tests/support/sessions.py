"""Sites and sessions that have ended."""

import random
from datetime import datetime, timedelta

from chargers.models import Site
from tests.support.builders import a_transaction, tell
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
