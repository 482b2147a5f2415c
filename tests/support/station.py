"""A charge point that does what a certification case says, at the wire, and the operator at the other side."""

import http.cookiejar
import json
import re
import urllib.parse
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from core.ocpp.versions import OCPP16
from tests.support.wire import WireCharger

ACCEPTED = {"status": "Accepted"}
CONNECTOR = 1
TAG, TAG_OF_SAME_PARENT, BLOCKED, EXPIRED = "CONF-VALID", "CONF-VALID-2", "CONF-BLOCKED", "CONF-EXPIRED"
TAGS = {
    TAG: {"parent_id_tag": "CONF-GROUP"},
    TAG_OF_SAME_PARENT: {"parent_id_tag": "CONF-GROUP"},
    BLOCKED: {"status": "Blocked"},
    EXPIRED: {"expiry_date": "2020-01-01T00:00:00Z"},
}


def with_tags(live):
    """`live`, with the id tokens that the cases of all OCPP versions name."""
    for tag, columns in TAGS.items():
        status, made, _ = live.request("POST", "/api/ocpp/id-tags/", {"id_tag": tag, **columns})
        assert status == 201 or "exists already" in made["error"], made  # of another test
    return live


def set_policy(station, policy):
    """Set how boots of `station` are answered."""
    path = f"/api/ocpp/chargers/{station.path}/"
    assert station.live.request("PATCH", path, {"boot_policy": policy})[0] == 200


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Station(WireCharger):
    """The charge point under the tool's control. Every message both ways is checked against its schema.

    The certification cases want strict validation; `validation` is "" for a charger that is left as it is.
    """

    version = OCPP16

    def __init__(self, live, charger_id=None, base=None, validation="strict", **options):
        super().__init__(live, charger_id, base, **{"subprotocols": [self.version.subprotocol], **options})
        if validation == "strict":
            live.strict(self.identity)

    # --- the connection --------------------------------------------------------------------------

    def refused(self, **options):
        """The HTTP status with which a connection is refused."""
        with pytest.raises(InvalidStatus) as refusal:
            self.connect(**options)
        return refusal.value.response.status_code

    # --- CP to CS --------------------------------------------------------------------------------

    def call(self, action, /, **payload):
        """The payload of the CALLRESULT; a CALLERROR fails the case."""
        self.version.schemas.check_request(action, payload)
        message_id = f"{self.identity[:20]}-{next(self.numbers)}"
        frame = self.send(action, payload, message_id)
        assert frame[:2] == [3, message_id], frame
        self.version.schemas.check_response(action, frame[2], formats=True)
        return frame[2]

    def boot(self):
        return self.call("BootNotification", chargePointVendor="Tool", chargePointModel="M", **self.serial)

    @property
    def serial(self):
        return {"chargePointSerialNumber": self.identity}

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
        frame = self.commands.pop(0) if self.commands else self.next_frame(lambda frame: frame[0] == 2, timeout)
        assert frame[2] == action, frame
        self.version.schemas.check_request(action, frame[3], formats=True)
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
        task = self.live.ask(self.identity, action, payload, **more)
        request = self.receive(action)
        self.answer(**(ACCEPTED if answer is None else answer))
        task = self.live.finished(task)
        assert (task["outcome"], task["simulated"]) == ("answered", False), task
        assert task["response"] == (ACCEPTED if answer is None else answer)
        return request, task

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
