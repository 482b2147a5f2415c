"""OCPP-J frames (J §4.2)."""

import pytest

from core.ocpp import frames
from core.ocpp.versions import OCPP16, OCPP201


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "not json",
        "{}",
        "[]",
        "[2]",
        "[2,5]",
        '"2"',
        "null",
        '[9,"1","Heartbeat",{}]',
        '[2,"",{}]',
        '["2","1","A",{}]',
    ],
)
def test_a_frame_without_a_message_id_is_unreadable(text):
    with pytest.raises(frames.Unreadable):
        frames.parse(text, OCPP16)


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1"]',
        '[2,"1","Heartbeat"]',
        '[2,"1",7,{}]',
        '[2,"1","Heartbeat",[]]',
        '[2,"1","A",{},0]',
        '[2,"1","A","x"]',
    ],
)
def test_a_malformed_call_with_an_id_is_a_formation_violation(text):
    with pytest.raises(frames.BadCall) as refused:
        frames.parse(text, OCPP16)
    assert (refused.value.message_id, refused.value.code) == ("1", "FormationViolation")


def test_a_message_id_of_37_characters_is_refused_and_echoed():
    with pytest.raises(frames.BadCall) as refused:
        frames.parse(f'[2,"{"x" * 37}","Heartbeat",{{}}]', OCPP16)
    assert refused.value.message_id == "x" * 37


def test_a_text_that_postgresql_cannot_store_is_refused():
    with pytest.raises(frames.BadCall) as refused:
        frames.parse('[2,"1","DataTransfer",{"vendorId":"a\\u0000b"}]', OCPP16)
    assert refused.value.code == "PropertyConstraintViolation"


def test_a_null_payload_counts_as_an_empty_object():
    assert frames.parse('[2,"1","Heartbeat",null]', OCPP16).payload == {}


def test_a_call_error_without_details_is_parsed():
    assert frames.parse('[4,"1","NotSupported",""]', OCPP16).error == {
        "code": "NotSupported",
        "description": "",
        "details": {},
    }


def test_frames_are_compact_and_keep_the_order_of_members():
    assert frames.call("1", "Reset", '{"type":"Soft","a":1}') == '[2,"1","Reset",{"type":"Soft","a":1}]'
    assert frames.call_error("1", frames.CallError("GenericError")) == '[4,"1","GenericError","",{}]'


def test_the_digest_ignores_the_order_of_members():
    one = frames.parse('[2,"1","A",{"a":1,"b":2}]', OCPP16)
    assert (
        one.digest
        == frames.parse('[2,"9","A",{"b":2,"a":1}]', OCPP16).digest
        != frames.parse('[2,"1","B",{}]', OCPP16).digest
    )


DEEP = "[" * 300 + "]" * 300


def test_a_call_nested_too_deeply_is_refused():
    with pytest.raises(frames.BadCall) as refused:
        frames.parse(f'[2,"1","DataTransfer",{{"vendorId":"v","data":{DEEP}}}]', OCPP16)
    assert refused.value.code == "FormationViolation"


@pytest.mark.parametrize(
    ("depth", "is_parsed"), [(252, True), (253, False), (900, False), (1100, False), (100_000, False)]
)
def test_text_that_is_not_strictly_json_is_parsed_up_to_a_depth(depth, is_parsed):
    """The limit is 254 levels with those of the frame and the payload. NaN is not strictly JSON."""
    text = '[2,"1","Heartbeat",{"x":' + "[" * depth + "NaN" + "]" * depth + "}]"
    if is_parsed:
        assert frames.parse(text, OCPP16, lenient=True).message_id == "1"
    else:
        with pytest.raises(frames.Unreadable):
            frames.parse(text, OCPP16, lenient=True)


def test_a_reply_nested_too_deeply_is_still_a_reply():
    assert isinstance(frames.parse(f'[3,"1",{{"data":{DEEP}}}]', OCPP16).payload, str)


@pytest.mark.parametrize("text", ['[3,"a\\u0000b",{}]', f'[3,"{"x" * 37}",{{}}]'])
def test_a_reply_with_an_impossible_message_id_is_unreadable(text):
    with pytest.raises(frames.Unreadable):
        frames.parse(text, OCPP16)


# --- OCPP 2.0.1 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message_id", "code"),
    [
        ("not json", "-1", "RpcFrameworkError"),
        ("{}", "-1", "RpcFrameworkError"),
        ('[2,"",{}]', "-1", "RpcFrameworkError"),
        ('[2,5,"Heartbeat",{}]', "-1", "RpcFrameworkError"),
        ('[2,"1","Heartbeat"]', "1", "RpcFrameworkError"),
        ('[2,"1",7,{}]', "1", "RpcFrameworkError"),
        (f'[2,"{"x" * 37}","Heartbeat",{{}}]', "x" * 37, "RpcFrameworkError"),
        ('[2,"1","Heartbeat",[]]', "1", "FormatViolation"),
        ('[9,"1","Heartbeat",{}]', "1", "MessageTypeNotSupported"),
        ('["2","1","Heartbeat",{}]', "1", "MessageTypeNotSupported"),
    ],
)
def test_a_frame_of_ocpp_2_0_1_that_is_no_call_is_answered(text, message_id, code):
    with pytest.raises(frames.BadCall) as refused:
        frames.parse(text, OCPP201)
    assert (refused.value.message_id, refused.value.code) == (message_id, code)


@pytest.mark.parametrize("text", ['[3,"",{}]', '[4,null,"GenericError","",{}]', f'[3,"{"x" * 37}",{{}}]'])
def test_a_reply_of_ocpp_2_0_1_is_never_answered(text):
    with pytest.raises(frames.Unreadable):
        frames.parse(text, OCPP201)
