"""A charging station of OCPP 2.0.1 that does what a test says, at the wire, and its operator at the other side."""

from itertools import count
from uuid import uuid4

from core.ocpp.versions import OCPP201
from tests.support.station import TAG, Station, now

EVSE = 1
TOKEN = {"idToken": TAG, "type": "ISO14443"}


def a_meter_value(wh, context="Sample.Periodic", timestamp=None, **sampled):
    """A MeterValue with one energy register in Wh."""
    value = {"value": wh, "measurand": "Energy.Active.Import.Register", "context": context, **sampled}
    return {"timestamp": timestamp or now(), "sampledValue": [value]}


class Station201(Station):
    """A station with EVSEs 1 and 2, each with connector 1. Every message both ways is checked against its schema."""

    version = OCPP201

    def boot(self, reason="PowerUp", **station):
        usual = {"vendorName": "Tool", "model": "M", "serialNumber": self.identity[:25], "firmwareVersion": "1.0"}
        return self.call("BootNotification", reason=reason, chargingStation=usual | station)

    def status(self, status, evse=EVSE, connector=1):
        body = {"timestamp": now(), "connectorStatus": status, "evseId": evse, "connectorId": connector}
        assert self.call("StatusNotification", **body) == {}

    def booted(self):
        """Reusable state Booted."""
        assert self.boot()["status"] == "Accepted"
        for evse in (1, 2):
            self.status("Available", evse)
        return self

    def authorized(self, token=TOKEN):
        """Reusable state Authorized."""
        assert self.call("Authorize", idToken=token)["idTokenInfo"]["status"] == "Accepted"

    def session(self, **members):
        return Session(self, **members)


class Session:
    """One transaction of a station: each call sends its next TransactionEvent and returns the answer."""

    def __init__(self, station, evse=EVSE, connector=1, reference=None):
        self.station, self.reference, self.numbers = station, reference or str(uuid4()), count()
        self.evse = {"id": evse, "connectorId": connector}

    def event(self, kind, trigger, **members):
        """Send an event; `info` are members of transactionInfo."""
        info = {"transactionId": self.reference, **members.pop("info", {})}
        event = {
            "eventType": kind,
            "triggerReason": trigger,
            "timestamp": now(),
            "seqNo": members.pop("seq_no", None),
        }
        if event["seqNo"] is None:
            event["seqNo"] = next(self.numbers)
        return self.station.call("TransactionEvent", **event, transactionInfo=info, **members)

    def start(self, token=TOKEN, wh=1000, **members):
        values = [] if wh is None else [a_meter_value(wh, "Transaction.Begin")]
        members = ({"meterValue": values} if values else {}) | ({"idToken": token} if token else {}) | members
        members.setdefault("info", {"chargingState": "Charging"})
        return self.event("Started", "Authorized", evse=self.evse, **members)

    def update(self, trigger="MeterValuePeriodic", wh=None, **members):
        values = {} if wh is None else {"meterValue": [a_meter_value(wh)]}
        return self.event("Updated", trigger, **values, **members)

    def end(self, wh=3000, trigger="StopAuthorized", reason="Local", **members):
        values = {} if wh is None else {"meterValue": [a_meter_value(wh, "Transaction.End")]}
        info = {"stoppedReason": reason, "chargingState": "EVConnected"} | members.pop("info", {})
        return self.event("Ended", trigger, info=info, **values, **members)

    @property
    def shown(self):
        """The transaction as the API shows it."""
        station = self.station
        found = station.live.get(f"/api/ocpp/transactions/?charger_id={station.path}&reference={self.reference}")
        (only,) = found["transaction_logs"]
        return only
