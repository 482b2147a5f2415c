"""Part 4: the handshake, frames and error codes of OCPP-J 2.0.1, at the wire."""

import json

import pytest

from tests.support.live import an_id
from tests.support.station import now
from tests.support.station201 import Station201

HEARTBEAT = '[2,"%s","Heartbeat",{}]'
STATUS = {"timestamp": now(), "connectorStatus": "Available", "evseId": 1, "connectorId": 1}
# Of part 4, §4.3.
ERROR_CODES = (
    *("FormatViolation", "GenericError", "InternalError", "MessageTypeNotSupported", "NotImplemented"),
    *("NotSupported", "OccurrenceConstraintViolation", "PropertyConstraintViolation", "ProtocolError"),
    *("RpcFrameworkError", "SecurityError", "TypeConstraintViolation"),
)


def error_to(station, text):
    """(message id, code) of the CALLERROR that answers the frame `text`."""
    kind, message_id, code, description, details = station.send_text(text)
    assert (kind, details) == (4, {}) and 0 < len(description) <= 255
    return message_id, code


def call(action, payload, message_id="1"):
    return json.dumps([2, message_id, action, payload])


def test_tc_b_58_csms(system):
    """WebSocket Subprotocol validation"""
    station = Station201(system)
    assert station.refused(subprotocols=["ocpp0.1"]) == 400
    with station.connect(subprotocols=["ocpp0.1", "ocpp2.0.1"]):
        assert station.socket.response.headers.get_all("Sec-WebSocket-Protocol") == ["ocpp2.0.1"]


def test_the_order_of_the_charger_decides_between_two_versions(system):
    with Station201(system, subprotocols=["ocpp2.0.1", "ocpp1.6"]) as station:
        assert station.connect().socket.subprotocol == "ocpp2.0.1"


def test_wrong_credentials_are_refused_before_the_subprotocol_is_judged(system):
    station = Station201(system, an_id())
    system.request("PATCH", f"/api/ocpp/chargers/{station.path}/", {"authorization_key": "0123456789abcdef"})
    for offered in (["ocpp2.0.1"], ["ocpp0.1"]):
        assert station.refused(subprotocols=offered) == 401


@pytest.mark.parametrize("text", ["", "no JSON", "{}", "[]", "[2]", '[2,"",{}]', '[2,5,"Heartbeat",{}]', '"[2]"'])
def test_a_frame_without_a_readable_message_id_is_answered_with_the_id_minus_one(station, text):
    assert error_to(station, text) == ("-1", "RpcFrameworkError")
    assert station.call("Heartbeat")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[2,"1","Heartbeat"]', "RpcFrameworkError"),
        ('[2,"1",7,{}]', "RpcFrameworkError"),
        ('[2,"1","Heartbeat",[]]', "FormatViolation"),
        ('[2,"1","Heartbeat","x"]', "FormatViolation"),
        ('[1,"1","Heartbeat",{}]', "MessageTypeNotSupported"),
        ('[5,"1","Heartbeat",{}]', "MessageTypeNotSupported"),
        ('["2","1","Heartbeat",{}]', "MessageTypeNotSupported"),
        (call("StartTransaction", {}), "NotImplemented"),
        (call("heartbeat", {}), "NotImplemented"),
        (call("Reset", {"type": "OnIdle"}), "NotSupported"),
    ],
)
def test_a_frame_that_is_no_usable_call_has_the_error_code_of_its_fault(station, text, code):
    assert error_to(station, text) == ("1", code)
    assert station.call("Heartbeat")


def test_a_message_id_of_more_than_36_characters_is_refused(station):
    assert error_to(station, HEARTBEAT % ("x" * 37)) == ("x" * 37, "RpcFrameworkError")
    assert station.send_text(HEARTBEAT % ("x" * 36))[:2] == [3, "x" * 36]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"evseId": "1"}, "TypeConstraintViolation"),
        ({"evseId": None}, "TypeConstraintViolation"),
        ({"evseId": -1}, "PropertyConstraintViolation"),
        ({"connectorStatus": "Charging"}, "PropertyConstraintViolation"),
        ({"colour": "green"}, "FormatViolation"),
        ({"customData": {}}, "OccurrenceConstraintViolation"),
    ],
)
def test_a_payload_that_breaks_its_schema_has_the_error_code_of_its_fault(station, fault, code):
    assert error_to(station, call("StatusNotification", STATUS | fault)) == ("1", code)
    assert station.call("StatusNotification", **STATUS) == {}


def test_a_member_that_is_missing_breaks_its_cardinality(station):
    missing = {name: value for name, value in STATUS.items() if name != "evseId"}
    assert error_to(station, call("StatusNotification", missing)) == ("1", "OccurrenceConstraintViolation")


def test_null_stands_for_an_empty_payload(station):
    assert station.send_text('[2,"1","Heartbeat",null]')[:2] == [3, "1"]


@pytest.mark.parametrize("text", ['[3,"nobody",{}]', '[4,"nobody","GenericError","",{}]', '[3,"",{}]'])
def test_an_answer_that_nobody_waits_for_is_not_answered(station, text):
    station.socket.send(text)
    station.is_left_alone()
    assert station.call("Heartbeat")


def test_a_call_that_is_sent_again_gets_the_same_answer_and_changes_nothing(station):
    transfer = call("DataTransfer", {"vendorId": "org.example", "data": "1"}, "again")
    assert station.send_text(transfer) == station.send_text(transfer)
    stored = station.live.get(f"/api/ocpp/data-transfers/?charger_id={station.path}")["results"]
    assert len(stored) == 1


@pytest.mark.parametrize("code", ERROR_CODES)
def test_a_call_error_of_the_charger_ends_its_command(station, code):
    task = station.live.ask(station.identity, "ClearCache", {})
    station.receive("ClearCache")
    station.socket.send(json.dumps([4, station.asked, code, "No.", {"of": "vendor"}]))
    task = station.live.finished(task)
    assert (task["outcome"], task["simulated"], task["response"]) == ("call_error", False, None)
    assert task["error"] == {"code": code, "description": "No.", "details": {"of": "vendor"}}


def test_an_answer_that_breaks_its_schema_ends_its_command_as_invalid(station):
    task = station.live.ask(station.identity, "ClearCache", {})
    station.receive("ClearCache")
    station.answer(status="Cleared")
    task = station.live.finished(task)
    assert (task["outcome"], task["error"]["code"]) == ("invalid_response", "PropertyConstraintViolation")


def test_the_charger_is_asked_one_thing_at_a_time(station):
    tasks = [station.live.ask(station.identity, "ClearCache", {}) for _ in range(2)]
    station.receive("ClearCache")
    station.is_left_alone()
    station.answer(status="Accepted")
    station.receive("ClearCache")
    station.answer(status="Rejected")
    assert [station.live.finished(task)["response"]["status"] for task in tasks] == ["Accepted", "Rejected"]


def test_message_ids_to_the_charger_are_short_and_never_used_again(station):
    ids = set()
    for _ in range(3):
        station.obeys("ClearCache", {})
        ids.add(station.asked)
    assert len(ids) == 3 and all(len(message_id) <= 36 for message_id in ids)
