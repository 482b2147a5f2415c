"""The socket of a charger at the running server: handshake, frames, presence."""

import json
import random
import signal
import subprocess
import sys
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from core.ocpp.versions import OCPP16
from tests.support.live import an_id, eventually, exchange
from tests.support.raw_socket import Wire, frame, heartbeat
from tests.support.servers import STARTED
from tools.stack.stack import PROJECT

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
KEY = "0001020304050607FFFFFFFFCCCCCCCCCCCCCCCC"


def active(live):
    return live.get("/api/ocpp/chargers/")["active_chargers"]


# --- handshake ---------------------------------------------------------------------------------


@pytest.mark.parametrize("slash", ["", "/"])
def test_both_spellings_of_the_path_are_accepted(live, slash):
    charger_id = an_id()
    with connect(f"{live.ws_url}/{charger_id}{slash}", subprotocols=["ocpp1.6"]) as socket:
        assert socket.subprotocol == "ocpp1.6"
        eventually(lambda: charger_id in active(live))


@pytest.mark.parametrize("odd", ["RDAM 123", "a/b", "a/b/", "100%", "%2F", "ü€", "505 ", "a.b?c#d", "x" * 243])
def test_a_charger_id_may_contain_any_character(live, odd):
    charger_id = f"{an_id()[:11]}{odd}"
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "BootNotification", BOOT)
        assert charger_id in active(live)
        status = live.get(f"/api/ocpp/status/{quote(charger_id, safe='')}/")["status"]
    assert (status["charger_id"], status["connected"]) == (charger_id, True)


@pytest.mark.parametrize(
    "path", ["/ws/ocpp/", "/ws/ocpp", "/ws/other/505", f"/ws/ocpp/{'x' * 256}", "/ws/ocpp/%00", "/ws/ocpp/%FF"]
)
def test_a_path_that_names_no_charger_is_404(live, path):
    with pytest.raises(InvalidStatus) as refused:
        connect(live.stack.ws_url + path, subprotocols=["ocpp1.6"])
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize("offered", [["ocpp0.1"], ["ocpp2.1", "ocpp1.5"]])
def test_no_common_subprotocol_is_400_and_names_the_supported_one(live, offered):
    with pytest.raises(InvalidStatus) as refused:
        live.socket(an_id(), subprotocols=offered)
    assert refused.value.response.status_code == 400
    assert b"ocpp1.6" in refused.value.response.body


def test_the_supported_subprotocol_is_chosen_among_unknown_ones(live):
    with live.socket(an_id(), subprotocols=["ocpp0.1", "ocpp1.6"]) as socket:
        assert socket.subprotocol == "ocpp1.6"


def test_no_subprotocol_is_accepted_in_local_development(live):
    with live.socket(an_id(), subprotocols=None) as socket:
        assert socket.subprotocol is None
        assert exchange(socket, "1", "Heartbeat", {})[:2] == [3, "1"]


def test_a_charger_with_a_key_must_present_it(live):
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id, "authorization_key": KEY})

    def basic(secret):
        return {"Authorization": "Basic " + b64encode(charger_id.encode() + b":" + secret).decode()}

    for headers in ({}, basic(b"wrong"), {"Authorization": "Bearer x"}):
        with pytest.raises(InvalidStatus) as refused:
            live.socket(charger_id, additional_headers=headers)
        assert refused.value.response.status_code == 401
    for secret in (KEY.encode(), bytes.fromhex(KEY)):
        with live.socket(charger_id, additional_headers=basic(secret)) as socket:
            assert still_serves(socket)


# --- frames ------------------------------------------------------------------------------------


@pytest.fixture
def socket(live):
    with live.socket(an_id()) as opened:
        yield opened


def still_serves(socket):
    return exchange(socket, "still", "Heartbeat", {})[:2] == [3, "still"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 5000,
        '[9,"1","Heartbeat",{}]',
        '[3,"unknown",{}]',
        '[4,"u","E","",{}]',
        '[3,"x"]',
        b"\x00\xff",
    ],
)
def test_an_unreadable_frame_is_ignored_and_the_socket_stays_open(socket, text):
    socket.send(text)
    assert still_serves(socket)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Nonsense", {}, "NotImplemented"),
        ("heartbeat", {}, "NotImplemented"),
        ("RemoteStartTransaction", {"idTag": "A"}, "NotSupported"),
        ("BootNotification", {}, "ProtocolError"),
        ("BootNotification", [], "FormationViolation"),
        ("BootNotification", BOOT | {"x": 1}, "FormationViolation"),
        ("BootNotification", BOOT | {"iccid": 5}, "TypeConstraintViolation"),
        ("FirmwareStatusNotification", {"status": "Bad"}, "PropertyConstraintViolation"),
    ],
)
def test_an_invalid_call_gets_its_call_error_and_the_socket_stays_open(live, action, payload, code):
    with live.socket(live.strict(an_id())) as socket:
        answer = exchange(socket, "1", action, payload)
        assert still_serves(socket)
    assert answer[:3] == [4, "1", code]
    assert len(answer) == 5
    assert answer[4] == {}


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("StartTransactionX", "'StartTransactionX' is no message of ocpp1.6."),
        ("Reset", "'Reset' is not accepted from a charger."),
    ],
)
def test_the_description_of_an_action_without_a_handler_is_a_sentence(socket, action, sentence):
    assert exchange(socket, "1", action, {})[3] == sentence


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ('[9,"1","Heartbeat",{}]', "message type 9 is not known"),
        ('[2,1,"Heartbeat",{}]', "not an array with a message type and a message id"),
        ("{", "not JSON"),
    ],
)
def test_the_finding_of_a_frame_that_is_not_answered_has_the_reason(live, frame, reason):
    with live.socket(identity := an_id()) as socket:
        socket.send(frame)
        assert still_serves(socket)
    path = f"/api/ocpp/findings/?charger_id={identity}"
    [finding] = eventually(lambda: live.get(path)["results"])
    assert (finding["action"], finding["field"], finding["kind"]) == ("", "", "unreadable")
    example = json.loads(finding["example"])
    assert example["reason"].startswith(reason)
    assert example["frame"] == frame


def test_a_repeated_call_gets_the_same_answer(live, socket):
    start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2025-02-26T12:00:00Z"}
    assert exchange(socket, "s", "StartTransaction", start) == exchange(socket, "s", "StartTransaction", start)
    assert exchange(socket, "s", "StartTransaction", start | {"meterStart": 5})[:2] == [4, "s"]


def test_a_call_repeated_after_a_reconnect_is_stored_once(live):
    charger_id = an_id()
    values = {"connectorId": 1, "meterValue": [{"timestamp": "x", "sampledValue": [{"value": "1"}]}]}
    for _ in range(2):
        with live.socket(charger_id) as socket:
            assert exchange(socket, "m", "MeterValues", values) == [3, "m", {}]
    assert live.rows(
        "SELECT count(*) FROM transactions_metervalue m JOIN chargers_charger c ON c.id = m.charger_id "
        "WHERE c.identity = %s",
        charger_id,
    ) == [(1,)]


def test_calls_that_do_not_wait_for_answers_are_answered_in_order(socket):
    for number in range(60):
        socket.send(json.dumps([2, str(number), "Heartbeat", {}]))
    assert [json.loads(socket.recv(5))[1] for _ in range(60)] == [str(number) for number in range(60)]


def answered_ids(live, pauses):
    """The ids of the answers to Heartbeats with the ids 0, 1, 2, …, each sent after a pause of `pauses` (seconds)."""
    wire = Wire(live.ws_url, an_id())

    def send():
        for number, pause in enumerate(pauses):
            wire.socket.sendall(frame(heartbeat(str(number))))
            time.sleep(pause)

    with wire.socket, ThreadPoolExecutor() as pool:
        pool.submit(send)
        return [int(wire.answered()) for _ in pauses]


def test_calls_that_arrive_while_an_earlier_one_is_answered_keep_their_order(live):
    pauses = [random.choices([0, 0.001, 0.003, 0.006, 0.01], k=300) for _ in range(12)]
    with ThreadPoolExecutor(len(pauses)) as pool:
        for answered in pool.map(partial(answered_ids, live), pauses):
            assert answered == list(range(300))


@pytest.mark.parametrize(
    ("function", "kinds"),
    [("core.ocpp.tolerance.read_request", [4, 3]), ("gateway.retries.RecentAnswers.add", [3, 3])],
)
def test_a_charger_is_served_after_a_fault_in_the_processing_of_its_call(live, function, kinds):
    script = [sys.executable, "-m", "tests.support.faulty_calls", function]
    env = live.stack.env | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(script, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout.splitlines()[-1:] == [str(kinds)], done.stderr


def test_every_action_of_a_charge_point_is_answered(live):
    charger_id, now = an_id(), "2025-02-26T12:00:00Z"
    reading = [{"timestamp": now, "sampledValue": [{"value": "1"}]}]
    payloads = {
        "BootNotification": BOOT,
        "Heartbeat": {},
        "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
        "Authorize": {"idTag": "A"},
        "StartTransaction": {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": now},
        "MeterValues": {"connectorId": 1, "meterValue": reading},
        "StopTransaction": {"meterStop": 1, "timestamp": now, "transactionId": 0},
        "DataTransfer": {"vendorId": "v"},
        "FirmwareStatusNotification": {"status": "Idle"},
        "DiagnosticsStatusNotification": {"status": "Idle"},
    }
    with live.socket(charger_id) as socket:
        for action, payload in payloads.items():
            kind, message_id, answer = exchange(socket, action, action, payload)
            assert (kind, message_id) == (3, action)
            OCPP16.schemas.check_response(action, answer)


def test_an_acknowledged_message_is_committed(live):
    with live.socket(charger_id := an_id()) as socket:
        exchange(socket, "1", "FirmwareStatusNotification", {"status": "Installed"})
        assert live.rows("SELECT firmware_status FROM chargers_charger WHERE identity = %s", charger_id) == [
            ("Installed",)
        ]


# --- presence ----------------------------------------------------------------------------------


def test_a_charger_that_disconnects_is_no_longer_active(live):
    with live.socket(charger_id := an_id()):
        eventually(lambda: charger_id in active(live))
    eventually(lambda: charger_id not in active(live))


def test_the_socket_of_a_deleted_charger_is_closed(live):
    with live.socket(charger_id := an_id()) as socket:
        eventually(lambda: charger_id in active(live))
        assert live.request("DELETE", f"/api/ocpp/chargers/{charger_id}/")[0] == 204
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(5)
    assert closed.value.rcvd.code == 4002


def test_the_newest_socket_replaces_the_older_one_whose_late_end_changes_nothing(live):
    charger_id = an_id()
    with live.socket(charger_id) as older, live.socket(charger_id) as newer:
        with pytest.raises(ConnectionClosed) as closed:
            older.recv(5)
        assert closed.value.rcvd.code == 4001
        older.close()
        time.sleep(0.5)
        assert charger_id in active(live)
        assert still_serves(newer)
        live.ask(charger_id, "ClearCache", {})
        assert json.loads(newer.recv(5))[2] == "ClearCache"


@contextmanager
def redis_hangs():
    """Stop the process of Redis. Its kernel still accepts connections."""
    if "REDIS_URL" not in STARTED:
        pytest.skip("These tests have not started Redis, so they do not stop it.")
    STARTED["REDIS_URL"].process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        STARTED["REDIS_URL"].process.send_signal(signal.SIGCONT)


def test_a_charger_that_connects_while_redis_hangs_is_served_at_once_and_reachable_later(live):
    charger_id = an_id()
    with ExitStack() as hanging:
        hanging.enter_context(redis_hangs())
        with live.socket(charger_id) as socket:
            assert exchange(socket, "1", "BootNotification", BOOT, timeout=4)[2]["status"] == "Accepted"
            hanging.close()
            eventually(lambda: charger_id in active(live), seconds=20)


def test_an_answer_while_redis_hangs_delays_no_message_of_the_charger(live):
    with live.socket(an_id()) as socket:
        charger_id = socket.request.path.rpartition("/")[2]
        exchange(socket, "1", "BootNotification", BOOT)
        task = live.ask(charger_id, "ClearCache", {}, timeout=30)
        assert json.loads(socket.recv(timeout=10))[:2] == [2, task["task_id"]]
        with redis_hangs():
            socket.send(json.dumps([3, task["task_id"], {"status": "Accepted"}]))
            assert exchange(socket, "2", "Heartbeat", {}, timeout=4)[:2] == [3, "2"]
        assert live.finished(task)["outcome"] == "answered"


def test_a_charger_that_never_reads_delays_no_other(live):
    with live.socket(an_id(), max_queue=1) as not_reading, live.socket(an_id()) as socket:
        for number in range(200):
            not_reading.send(json.dumps([2, str(number), "Heartbeat", {}]))
        assert still_serves(socket)
