"""A gap in the events of a transaction is found, and the charger is requested to deliver what it has."""

from tests.support.live import eventually
from tests.support.station201 import Station201


def test_a_gap_leads_to_get_transaction_status(live):
    with Station201(live) as station:
        session = station.connect().booted().session()
        session.start(None, info={"chargingState": "EVConnected"})
        session.event("Updated", "MeterValuePeriodic", seq_no=2)
        assert station.receive("GetTransactionStatus", 20) == {"transactionId": session.reference}
        station.answer(ongoingIndicator=True, messagesInQueue=True)
        assert session.shown["missing_since"]
        session.event("Updated", "MeterValuePeriodic", seq_no=1, offline=True)
        assert eventually(lambda: session.shown["missing_since"] is None, 3)
        events = live.get(f"/api/ocpp/transactions/{station.path}/{session.shown['transaction_id']}/events/")
        assert [(e["seq_no"], e["offline"]) for e in events["results"]] == [(0, False), (1, True), (2, False)]
