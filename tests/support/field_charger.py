"""A charger at the wire that sends what real ones send, and what the operator's API shows of it."""

from tests.support.wire import WireCharger

NOON = "2025-02-26T12:00:00Z"
LATER = "2025-02-26T13:00:00Z"


class FieldCharger(WireCharger):
    """A connected charger; `columns` are those of `POST chargers/`, such as validation."""

    def __init__(self, live, **columns):
        super().__init__(live)
        if columns:
            body = {"charger_id": self.identity, **columns}
            status, made, _ = live.request("POST", "/api/ocpp/chargers/", body)
            assert status == 201, made
        self.connect()

    def call(self, action, payload, message_id=None):
        """The payload of the CALLRESULT; a CALLERROR fails the test."""
        answer = self.send(action, payload, message_id)
        assert answer[0] == 3, answer
        return answer[2]

    def start(self, **members):
        """The transactionId of a new session; `members` replace those of a usual start."""
        usual = {"connectorId": 1, "idTag": "ABC", "meterStart": 1000, "timestamp": NOON}
        return self.call("StartTransaction", usual | members)["transactionId"]

    def read(self, transaction_id, *samples, timestamp="2025-02-26T12:30:00Z", **members):
        """Send the samples, each a dict or the value of an energy register in Wh, of a transaction."""
        sampled = [sample if isinstance(sample, dict) else {"value": str(sample)} for sample in samples]
        values = [{"timestamp": timestamp, "sampledValue": sampled}]
        named = {} if transaction_id is None else {"transactionId": transaction_id}
        return self.call("MeterValues", {"connectorId": 1, "meterValue": values, **named, **members})

    def stop(self, transaction_id, **members):
        usual = {"transactionId": transaction_id, "meterStop": 26008, "timestamp": LATER}
        return self.call("StopTransaction", usual | members)

    @property
    def status(self):
        """The statuses as the API shows them."""
        return self.live.get(f"/api/ocpp/status/{self.identity}/")["status"]
