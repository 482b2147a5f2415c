"""A charge point that does what a certification case says, at the wire, and the operator at the other side."""

import http.cookiejar
import json
import re
import urllib.parse
import urllib.request
from base64 import b64encode
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import count
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from core.ocpp.versions import OCPP16
from tests.support.live import an_id

ACCEPTED = {"status": "Accepted"}
CONNECTOR = 1
TAG, TAG_OF_SAME_PARENT, BLOCKED, EXPIRED = "CONF-VALID", "CONF-VALID-2", "CONF-BLOCKED", "CONF-EXPIRED"
TAGS = {
    TAG: {"parent_id_tag": "CONF-GROUP"},
    TAG_OF_SAME_PARENT: {"parent_id_tag": "CONF-GROUP"},
    BLOCKED: {"status": "Blocked"},
    EXPIRED: {"expiry_date": "2020-01-01T00:00:00Z"},
}


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Station:
    """The charge point under the tool's control. Every message both ways is checked against its schema.

    The certification cases want strict validation; `validation` is "" for a charger that is left as it is.
    """

    def __init__(self, live, charger_id=None, base=None, validation="strict", **options):
        self.live, self.charger_id = live, charger_id or an_id()
        if validation == "strict":
            live.strict(self.charger_id)
        self.base, self.options = base or live.ws_url, options
        self.numbers, self.commands = count(1), []
        self.open = ExitStack()

    # --- the connection --------------------------------------------------------------------------

    def connect(self, key=None, **options):
        """Open a new connection; `key` (bytes) is presented by Basic auth."""
        options = {"subprotocols": ["ocpp1.6"], **self.options, **options}
        if key is not None:
            credentials = b64encode(self.charger_id.encode() + b":" + key).decode()
            options["additional_headers"] = {"Authorization": f"Basic {credentials}"}
        opening = connect(f"{self.base}/{quote(self.charger_id, safe='')}", **options)
        self.socket = self.open.enter_context(opening)
        return self

    def refused(self, **options):
        """The HTTP status with which a connection is refused."""
        with pytest.raises(InvalidStatus) as refusal:
            self.connect(**options)
        return refusal.value.response.status_code

    def drop(self):
        self.open.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.drop()

    # --- CP to CS --------------------------------------------------------------------------------

    def call(self, action, **payload):
        """The payload of the CALLRESULT; a CALLERROR fails the case."""
        OCPP16.schemas.check_request(action, payload)
        message_id = f"{self.charger_id[:20]}-{next(self.numbers)}"
        self.socket.send(json.dumps([2, message_id, action, payload]))
        frame = self._next(lambda frame: frame[0] != 2)
        assert frame[:2] == [3, message_id], frame
        OCPP16.schemas.check_response(action, frame[2], formats=True)
        return frame[2]

    def _next(self, wanted, timeout=10):
        """The next frame that is `wanted`; CALLs that come meanwhile wait for `receive`."""
        while True:
            frame = json.loads(self.socket.recv(timeout=timeout))
            if wanted(frame):
                return frame
            self.commands.append(frame)

    def boot(self):
        return self.call("BootNotification", chargePointVendor="Tool", chargePointModel="M", **self.serial)

    @property
    def serial(self):
        return {"chargePointSerialNumber": self.charger_id}

    def status(self, status, connector=CONNECTOR, error="NoError"):
        body = {"connectorId": connector, "errorCode": error, "status": status, "timestamp": now()}
        assert self.call("StatusNotification", **body) == {}

    def booted(self):
        """Reusable state Booted."""
        assert self.boot()["status"] == "Accepted"
        for connector in (0, 1, 2):
            self.status("Available", connector)
        return self

    def authorized(self, tag=TAG):
        """Reusable state Authorized."""
        assert self.call("Authorize", idTag=tag)["idTagInfo"]["status"] == "Accepted"

    def start(self, tag=TAG, **more):
        """StartTransaction; its answer."""
        body = {"connectorId": CONNECTOR, "idTag": tag, "meterStart": 1000, "timestamp": now(), **more}
        return self.call("StartTransaction", **body)

    def charging(self, tag=TAG, **more):
        """Reusable state Charging; the transaction id."""
        self.authorized(tag)
        self.status("Preparing")
        started = self.start(tag, **more)
        assert started["idTagInfo"]["status"] == "Accepted" and started["transactionId"] > 0
        self.status("Charging")
        return started["transactionId"]

    def stop(self, transaction_id, reason, meter=3000, **more):
        body = {"transactionId": transaction_id, "meterStop": meter, "timestamp": now(), "reason": reason, **more}
        return self.call("StopTransaction", **body)

    # --- CS to CP --------------------------------------------------------------------------------

    def receive(self, action, timeout=10):
        """The payload of the next CALL, which must be of `action`."""
        frame = self.commands.pop(0) if self.commands else self._next(lambda frame: frame[0] == 2, timeout)
        assert frame[2] == action, frame
        OCPP16.schemas.check_request(action, frame[3], formats=True)
        self.asked = frame[1]
        return frame[3]

    def answer(self, **payload):
        self.socket.send(json.dumps([3, self.asked, payload]))

    def is_left_alone(self, seconds=0.4):
        """Nothing is sent to it that nobody asked for."""
        with suppress(TimeoutError):
            self.commands.append(json.loads(self.socket.recv(timeout=seconds)))
        assert self.commands == []

    def obeys(self, action, payload, answer=None, **more):
        """An operator asks, it answers: (request at the wire, finished task)."""
        task = self.live.ask(self.charger_id, action, payload, **more)
        request = self.receive(action)
        self.answer(**(ACCEPTED if answer is None else answer))
        task = self.live.finished(task)
        assert (task["outcome"], task["simulated"]) == ("answered", False), task
        assert task["response"] == (ACCEPTED if answer is None else answer)
        return request, task

    # --- what the central system says of it ------------------------------------------------------

    def shown(self):
        return self.live.get(f"/api/ocpp/chargers/{self.charger_id}/")

    def connector(self, number=CONNECTOR):
        return next(c for c in self.shown()["connectors"] if c["connector_id"] == number)

    def transactions(self):
        return self.live.get(f"/api/ocpp/transactions/{self.charger_id}/")["transaction_logs"]

    def transaction(self):
        """Its only one."""
        (only,) = self.transactions()
        return only

    def configuration(self):
        return {row["key"]: row["value"] for row in self.shown()["configuration"]}

    def primary_key(self):
        return self.live.rows("SELECT id FROM chargers_charger WHERE charger_id = %s", self.charger_id)[0][0]

    def closed(self, seconds=5):
        """The code with which the server closes the socket."""
        with pytest.raises(ConnectionClosed) as closing:
            self.socket.recv(seconds)
        return closing.value.rcvd.code


class Admin:
    """A browser in the admin."""

    def __init__(self, live):
        self.live = live
        self.browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
        )
        page = self.page("login/")
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
        form = {"csrfmiddlewaretoken": token, "username": "admin", "password": live.stack.password, "next": "/admin/"}
        self.browser.open(f"{live.url}/admin/login/", urllib.parse.urlencode(form).encode(), timeout=30)

    def page(self, path):
        return self.open(f"/admin/{path}")

    def open(self, path):
        return self.browser.open(f"{self.live.url}{path}", timeout=30).read().decode()

    def charger(self, station):
        return self.page(f"chargers/charger/{station.primary_key()}/change/")

    def transaction(self, transaction_id):
        return self.page(f"transactions/transaction/{transaction_id}/change/")

    def command(self, task):
        return self.page(f"commands/command/?q={task['task_id']}")
