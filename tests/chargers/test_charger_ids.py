"""Charger ids may contain any character and are compared as sent, over WebSocket, in REST paths and in the admin."""

import html
import json
import re
from contextlib import ExitStack
from urllib.parse import quote

import pytest

from tests.support.live import exchange
from tests.support.payloads import REPORTED
from tests.support.station import Admin

# These ids look alike, but each is a charger of its own.
SIMILAR_IDS = ["ID505", "ID505 ", " ID505", "id505", "ID505/", "ID505%20", "ID505%2F", "ＩＤ505", "ID505\u200b"]
ODD_IDS = [
    *SIMILAR_IDS,
    ".",
    "..",
    "a/../b",
    "/",
    "a?b#c",
    "ü€😀",
    "é",
    "e\u0301",
    "%",
    "%00",
    "x" * 254 + "/",
    "😀" * 255,
]


@pytest.fixture(scope="module")
def admin(live):
    return Admin(live)


def path(charger_id):
    return quote(charger_id, safe="")


REQUESTS = [
    *(("GET", resource) for resource in ("chargers", "status", "transactions", "local-lists")),
    ("PATCH", "chargers"),
    *(("POST", resource) for resource in ("start", "stop", "authorize")),
]


def send_all_messages(live, charger_id):
    """Send one message of each kind from the charger, and return the id of its transaction."""
    with live.socket(charger_id) as socket:
        for action, payload in REPORTED:
            kind, _, answer = exchange(socket, action, action, payload)
            assert kind == 3
    return answer["transactionId"]


@pytest.mark.parametrize("charger_id", ODD_IDS)
def test_every_path_of_a_charger_accepts_its_id(live, charger_id):
    transaction_id = send_all_messages(live, charger_id)
    for method, resource in REQUESTS:
        status, body, _ = live.request(method, f"/api/ocpp/{resource}/{path(charger_id)}/")
        assert status in (200, 202), (resource, body)
        assert body.get("charger_id", charger_id) == charger_id
    own = f"/api/ocpp/transactions/{path(charger_id)}/{transaction_id}/"
    assert live.get(own)["charger_id"] == charger_id
    assert live.get(f"{own}meter-values/")["count"] == 0
    assert live.request("POST", f"{own}close/")[0] == 200


@pytest.mark.parametrize("charger_id", ODD_IDS)
def test_the_admin_page_of_a_charger_opens(live, admin, charger_id):
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    ((key,),) = live.rows("SELECT id FROM chargers_charger WHERE identity = %s", charger_id)
    assert html.escape(charger_id) in admin.page(f"chargers/charger/{key}/change/")
    assert html.escape(charger_id) in admin.page(f"chargers/charger/?q={quote(charger_id)}")


@pytest.mark.parametrize(
    "charger_id", [odd for odd in ODD_IDS if odd not in (".", "..")]
)  # browsers normalise these paths
def test_links_lead_to_the_page_of_the_charger(live, admin, charger_id):
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    ((key,),) = live.rows("SELECT id FROM chargers_charger WHERE identity = %s", charger_id)
    its_page = re.search('href="(/chargers/[^"]*)">Dashboard page', admin.page(f"chargers/charger/{key}/change/"))[1]
    page = admin.open(its_page)
    assert f"<h1>{html.escape(charger_id)}</h1>" in page
    form = re.search('data-goes="([^"]*)ACTION/"', page)[1]
    assert html.escape(f"Reset to {charger_id}") in admin.open(f"{form}Reset/")


def answer_to(socket, *call):
    """Return the answer to `call`. Commands of earlier tests to this charger may be received first."""
    frame = exchange(socket, *call)
    while frame[0] == 2:
        frame = json.loads(socket.recv(timeout=5))
    return frame


def test_ids_that_look_alike_are_different_chargers(live):
    with ExitStack() as opened:
        sockets = [opened.enter_context(live.socket(charger_id)) for charger_id in SIMILAR_IDS]
        for charger_id, socket in zip(SIMILAR_IDS, sockets, strict=True):
            boot = {"chargePointVendor": "V", "chargePointModel": "M", "iccid": f"{SIMILAR_IDS.index(charger_id)}"}
            assert answer_to(socket, "alike", "BootNotification", boot)[0] == 3
        shown = [live.get(f"/api/ocpp/chargers/{path(charger_id)}/") for charger_id in SIMILAR_IDS]
    assert [(s["charger_id"], s["iccid"], s["connected"]) for s in shown] == [
        (charger_id, f"{number}", True) for number, charger_id in enumerate(SIMILAR_IDS)
    ]
