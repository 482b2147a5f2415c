"""A charger at the wire that sends what real ones send, and what the operator's API shows of it."""

import json
from contextlib import ExitStack
from itertools import count
from urllib.parse import quote

from tests.support.live import an_id, eventually

NOON = "2025-02-26T12:00:00Z"
LATER = "2025-02-26T13:00:00Z"


class FieldCharger:
    """A connected charger; `columns` are those of `POST chargers/`, such as validation."""

    def __init__(self, live, **columns):
        self.live, self.charger_id, self.numbers = live, an_id(), count(1)
        self.open = ExitStack()
        if columns:
            body = {"charger_id": self.charger_id, **columns}
            status, made, _ = live.request("POST", "/api/ocpp/chargers/", body)
            assert status == 201, made
        self.connect()

    def connect(self):
        self.socket = self.open.enter_context(self.live.socket(self.charger_id))

    def reconnect(self):
        self.open.close()
        self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open.close()

    def send(self, action, payload, message_id=None):
        """The whole frame that answers."""
        return self.send_text(json.dumps([2, message_id or f"m{next(self.numbers)}", action, payload]))

    def send_text(self, text):
        self.socket.send(text)
        return json.loads(self.socket.recv(timeout=10))

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

    # --- what the API shows ------------------------------------------------------------------

    @property
    def shown(self):
        return self.live.get(f"/api/ocpp/chargers/{quote(self.charger_id, safe='')}/")

    @property
    def status(self):
        return self.live.get(f"/api/ocpp/status/{self.charger_id}/")["status"]

    def transaction(self, transaction_id):
        return self.live.get(f"/api/ocpp/transactions/{self.charger_id}/{transaction_id}/")

    @property
    def transactions(self):
        return self.live.get(f"/api/ocpp/transactions/{self.charger_id}/")["transaction_logs"]

    def readings(self, transaction_id):
        return self.live.get(f"/api/ocpp/transactions/{self.charger_id}/{transaction_id}/meter-values/")["results"]

    @property
    def findings(self):
        """{(action, field, kind): count}."""
        rows = self.live.get(f"/api/ocpp/findings/?charger_id={self.charger_id}&page_size=1000")["results"]
        return {(row["action"], row["field"], row["kind"]): row["count"] for row in rows}

    def found(self, *finding):
        """Whether the finding (action, field, kind) was counted; findings are written within a second."""
        return eventually(lambda: finding in self.findings, 3)

    @property
    def orphans(self):
        return self.live.get(f"/api/ocpp/orphan-stops/?charger_id={self.charger_id}")["results"]
