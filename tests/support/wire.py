"""A charger at the wire, frame by frame, and what the API shows of it.

Its WebSocket is a blocking one of the `websockets` library, because tests send pieces of frames, pings and nonsense.
"""

import json
from base64 import b64encode
from contextlib import ExitStack
from itertools import count
from urllib.parse import quote

from websockets.sync.client import connect

from tests.support.live import an_id, eventually


class ShownCharger:
    """A charger as the API shows it to operators."""

    def __init__(self, live, charger_id):
        self.live, self.identity = live, charger_id
        self.path = quote(charger_id, safe="")

    @property
    def shown(self):
        return self.live.get(f"/api/ocpp/chargers/{self.path}/")

    def connector(self, number=1):
        return next(c for c in self.shown["connectors"] if c["connector_id"] == number)

    @property
    def configuration(self):
        return {row["key"]: row["value"] for row in self.shown["configuration"]}

    @property
    def transactions(self):
        return self.live.get(f"/api/ocpp/transactions/{self.path}/")["transaction_logs"]

    def transaction(self, transaction_id=None):
        """The transaction with this id, else the only one as it is listed."""
        if transaction_id is not None:
            return self.live.get(f"/api/ocpp/transactions/{self.path}/{transaction_id}/")
        (only,) = self.transactions
        return only

    def readings(self, transaction_id):
        return self.live.get(f"/api/ocpp/transactions/{self.path}/{transaction_id}/meter-values/")["results"]

    @property
    def findings(self):
        """{(action, field, kind): count}."""
        rows = self.live.get(f"/api/ocpp/findings/?charger_id={self.path}&page_size=1000")["results"]
        return {(row["action"], row["field"], row["kind"]): row["count"] for row in rows}

    def found(self, *finding):
        """Whether the finding (action, field, kind) was counted; findings are written within a second."""
        return eventually(lambda: finding in self.findings, 3)

    @property
    def orphans(self):
        return self.live.get(f"/api/ocpp/orphan-stops/?charger_id={self.path}")["results"]

    def primary_key(self):
        return self.live.rows("SELECT id FROM chargers_charger WHERE identity = %s", self.identity)[0][0]


class WireCharger(ShownCharger):
    """A charger with a socket. `base` is the URL before its id; `options` are those of `websockets`' `connect`."""

    def __init__(self, live, charger_id=None, base=None, **options):
        super().__init__(live, charger_id or an_id())
        self.base, self.options = base or live.ws_url, {"subprotocols": ["ocpp1.6"], **options}
        self.commands = []  # CALLs that came while an answer was awaited
        self.open, self.numbers = ExitStack(), count(1)

    def connect(self, key=None, **options):
        """Open a new connection; `key` (bytes) is presented by Basic auth."""
        if key is not None:
            options["additional_headers"] = self.basic(self.identity, key)
        self.socket = self.open.enter_context(connect(f"{self.base}/{self.path}", **self.options | options))
        return self

    @staticmethod
    def basic(name, key):
        """The headers of Basic auth with this user name and `key` (bytes)."""
        return {"Authorization": f"Basic {b64encode(name.encode() + b':' + key).decode()}"}

    def drop(self):
        self.open.close()

    def reconnect(self):
        self.drop()
        self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    def send(self, action, payload, message_id=None):
        """Send a CALL and return the whole frame that answers."""
        return self.send_text(json.dumps([2, message_id or f"m{next(self.numbers)}", action, payload]))

    def send_text(self, text):
        self.socket.send(text)
        return self.next_frame(lambda frame: frame[0] != 2)

    def next_frame(self, wanted, timeout=10):
        """The next frame that is `wanted`; CALLs that come meanwhile are kept in `commands`."""
        while not wanted(frame := json.loads(self.socket.recv(timeout=timeout))):
            self.commands.append(frame)
        return frame
