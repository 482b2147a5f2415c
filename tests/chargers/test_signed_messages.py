"""Signed messages of OCPP 2.0.1 (part 4, §7), which are processed like plain ones."""

import base64
import json

import pytest

from core.ocpp import frames, redaction
from core.ocpp.versions import OCPP16, OCPP201


def signed(action, text, **jws):
    encoded = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    return json.dumps([2, "1", f"{action}-Signed", {"protected": "e30", "payload": encoded, "signature": "AA"} | jws])


def test_a_signed_message_is_read_as_the_plain_one():
    sent = {"type": "Reset", "timestamp": "2025-02-26T12:00:00Z"}
    frame = frames.parse(signed("SecurityEventNotification", json.dumps(sent)), OCPP201)
    assert (frame.message_id, frame.action, frame.payload) == ("1", "SecurityEventNotification", sent)
    assert frames.parse(signed("Heartbeat", "{}"), OCPP201).payload == {}


def extended(text):
    """The frame as §7.1 defines it, with its extension before the action."""
    frame = json.loads(text)
    return json.dumps([*frame[:2], {"vendor": "V", "password": "Secret-1"}, *frame[2:]])


def test_a_signed_message_may_have_an_extension():
    frame = frames.parse(extended(signed("Heartbeat", "{}")), OCPP201)
    assert (frame.message_id, frame.action, frame.payload) == ("1", "Heartbeat", {})
    with pytest.raises(frames.BadCall, match="A CALL is"):
        frames.parse(extended(signed("Heartbeat", "{}")), OCPP16)
    with pytest.raises(frames.BadCall, match="A CALL is"):
        frames.parse('[2, "1", {}, "Heartbeat", {}]', OCPP201)


def test_the_log_shows_an_extended_message_without_its_secrets():
    token = {"idToken": {"idToken": "4711", "type": "KeyCode"}}
    shown = json.loads(redaction.masked(extended(signed("Authorize", json.dumps(token))), OCPP201, is_json=True))
    assert shown[2:4] == [{"vendor": "V", "password": "(hidden)"}, "Authorize-Signed"]
    assert shown[4]["payload"] == {"idToken": {"idToken": "(hidden)", "type": "KeyCode"}}


@pytest.mark.parametrize("jws", [{"payload": "!"}, {"payload": 1}, {"payload": "WzFd"}, {"payload": "gA"}])
def test_what_is_no_jws_of_an_object_is_refused(jws):
    with pytest.raises(frames.BadCall, match="no JWS"):
        frames.parse(signed("Heartbeat", "{}", **jws), OCPP201)


def test_only_a_version_with_signed_messages_reads_them():
    assert frames.parse(signed("Heartbeat", "{}"), OCPP16).action == "Heartbeat-Signed"


def test_a_signed_text_is_checked_like_a_plain_one():
    with pytest.raises(frames.BadCall, match="U\\+0000"):
        frames.parse(signed("Heartbeat", '{"a": "\\u0000"}'), OCPP201)
    with pytest.raises(frames.BadCall, match="too deeply"):
        frames.parse(signed("Heartbeat", '{"a":' * 300 + "1" + "}" * 300), OCPP201)


def test_the_log_shows_a_signed_message_without_its_secrets():
    token = {"idToken": {"idToken": "4711", "type": "KeyCode"}}
    frame = signed("Authorize", json.dumps(token))
    shown = json.loads(redaction.masked(frame, OCPP201, is_json=True))
    assert shown[2:] == [
        "Authorize-Signed",
        {"protected": "e30", "payload": {"idToken": {"idToken": "(hidden)", "type": "KeyCode"}}, "signature": "AA"},
    ]
    assert json.loads(redaction.masked(signed("Authorize", "x"), OCPP201, is_json=True))[3]["payload"] == "(hidden)"
