"""Keys and passwords are masked in every kind of frame, and other values are unchanged."""

import json
import statistics
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.services import findings
from core.ocpp import redaction
from core.ocpp.redaction import HIDDEN, MAX_MASKED_LENGTH, names_secret
from core.ocpp.versions import BY_SUBPROTOCOL, OCPP16, OCPP201
from core.ocpp.versions.base import ALWAYS
from tests.support.strategies import BOUNDED, json_values
from tests.support.versions import paths, versions

KEY = "0011223344556677889900aabbccddeeff001122"
LINE = {"timestamp": "2025-02-26T12:00:00Z", "sampledValue": [{"value": "1500", "unit": "Wh"}]}
keys = st.text(string.ascii_letters + string.digits, min_size=16, max_size=40).map(lambda text: f"Zq{text}")
spellings = st.sampled_from(["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY", "authorization_key"])
names = st.sampled_from(
    [*("password", "Password", "wifiPassword", "apn_password", "passphrase", "Secret", "clientSecret"), "api-key"]
)
logins = st.sampled_from(["ftp://user:{}@host/x", "https://{}@host/?a=b@c", "see sftp://u:{}@10.0.0.1 for it"])


def masked(text, action="", version=OCPP16, **options):
    return redaction.masked(text, version, action, **options)


def in_log(text, version=OCPP16):
    """The frame `text` in a log line."""
    return str(redaction.InLog(text, version))


def a_change(key, value, name="AuthorizationKey"):
    return [2, "1", "ChangeConfiguration", {"key": name, "value": value}]


@st.composite
def planted(draw):
    """(text of a frame with a key somewhere, the key)."""
    key = draw(keys)
    places = [
        {"key": draw(spellings), "value": key},
        {"value": key, "readonly": False, "key": draw(spellings)},
        {draw(names): draw(st.sampled_from([key, [key], {"is": key}]))},
        {"location": draw(logins).format(key)},
        {"data": json.dumps({draw(names): key, "other": draw(json_values)})},
        {"data": f"{draw(names)}={key}&x=1"},
        {"location": f"http://host/files/uploads/{key}/log.txt"},
    ]
    payload = {
        "before": draw(json_values),
        "configurationKey": [draw(st.sampled_from(places))],
        "after": draw(json_values),
    }
    frame = draw(st.sampled_from([[2, "1", "X", payload], [3, "1", payload], [4, "1", "E", "", payload]]))
    return json.dumps(frame, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))), key


@BOUNDED
@given(planted())
def test_a_planted_key_never_appears(frame):
    text, key = frame
    assert key in text
    assert all(key not in masked(text, version=version) for version in BY_SUBPROTOCOL.values())


@BOUNDED
@given(planted(), st.integers(0, 400))
def test_a_planted_key_never_appears_in_a_truncated_frame(frame, missing):
    text, key = frame
    cut = text[: max(1, len(text) - missing - 1)]
    assert key not in masked(cut)


@BOUNDED
@given(st.sampled_from(["AuthorizationKey", "password"]), keys)
def test_a_planted_key_never_appears_under_an_escaped_name(name, key):
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    assert key not in masked(f'[2,"1","X",{{"key":"{escaped}","{escaped}":"{key}","value":"{key}"}}]')


@pytest.mark.parametrize(
    "text",
    [
        *("AuthorizationKey=SECRET", "Authorization: Basic SECRET", "x Authorization: Bearer SECRET"),
        *('{"name":"AuthorizationKey","value":"SECRET"}', 'cfg={"key":"AuthorizationKey","value":"SECRET"}'),
        *('{"key":"FtpPass","value":"SECRET"}', '{"pass":"SECRET"}', '{"key":"SimPin","value":"SECRET"}'),
        *('{"sessionToken":"SECRET","WifiKey":"SECRET","hmac_key":"SECRET"}', "<password>SECRET</password>"),
        *("PIN: SECRET", "pin=SECRET", '<Password type="x">SECRET</Password>', "auth=Basic SECRET", "Bearer SECRET"),
        *('password="a\\"SECRET"', "password=ab,SECRET", "password=ab&SECRET&x=1"),
        "-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_a_secret_is_masked_under_any_name_for_it(text):
    for frame in (text, json.dumps([2, "1", "DataTransfer", {"vendorId": "V", "data": text}])):
        assert "SECRET" not in masked(frame)
        assert "SECRET" not in in_log(frame)


def test_values_that_are_no_secrets_stay_though_named_key():
    body = [3, "1", {"configurationKey": [{"key": "HeartbeatInterval", "value": "1"}], "unknownKey": ["X"]}]
    body.append({"key": "AllowChargingWithoutKey", "value": "true"})
    body.append({"idToken": "ABC", "publicKey": "x", "issuerKeyHash": "ab"})
    assert json.loads(masked(json.dumps(body))) == body


def test_a_key_quoted_in_a_call_error_is_masked():
    text = json.dumps([4, "1", "PropertyConstraintViolation", f"{KEY} is too long", {"given": KEY}])
    assert json.loads(masked(text, "ChangeConfiguration")) == [4, "1", "PropertyConstraintViolation", HIDDEN, HIDDEN]
    assert masked(text, "Reset") == text


def test_the_rest_of_a_masked_frame_is_unchanged():
    assert json.loads(masked(json.dumps(a_change("", KEY)))) == a_change("", HIDDEN)
    body = [3, "1", {"configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}]}]
    assert json.loads(masked(json.dumps(body))) == body
    location = [2, "1", "GetDiagnostics", {"location": "ftp://me:pass@host/logs/"}]
    assert json.loads(masked(json.dumps(location)))[3] == {"location": f"ftp://{HIDDEN}@host/logs/"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([2, "1", "MeterValues", {"connectorId": 1, "meterValue": [LINE]}]),
        '[2, "1", "Heartbeat",  {}]',
        '[2,"1","Heartbeat",',
        "hello",
        json.dumps([2, "1", "SignedUpdateFirmware", {"signature": "abc", "signingCertificate": "def"}]),
    ],
)
def test_a_frame_without_a_secret_is_unchanged(text):
    assert masked(text) == text


def test_deeply_nested_json_texts_are_replaced_by_their_length():
    text = "secret"
    for _ in range(8):
        text = "[" * 200 + json.dumps(text) + "]" * 200
    assert masked(text) == f"({len(text)} characters that are nested too deeply)"


PIECES = [
    "é",
    "key",
    "://",
    '"value":"',
    "password=",
    "key ",
    "a@",
    "<key ",
    "auth basic ",
    '"value" ',
    "\\",
    "'",
    "key=&",
]
FRAMES = {
    **{piece: piece for piece in PIECES},
    "many texts": '"a",',
    "many keys": '{"key":"a","value":"b"},',
    "texts with marks": '"pin=x",',
}


def in_texts(piece, length):
    return piece * (length // len(piece))


def in_lists(piece, length):
    return f'[9,"1",[{in_texts(piece, length)}"key"]]'


@pytest.mark.parametrize("name", FRAMES)
def test_masking_time_is_proportional_to_the_length(name):
    make = in_lists if " " in name and name not in PIECES else in_texts
    short, long = make(FRAMES[name], 2**18), make(FRAMES[name], 2**20)
    assert statistics.median(seconds(long) / seconds(short) for _ in range(5)) < 8


def seconds(text):
    began = time.thread_time()
    masked(text)
    return time.thread_time() - began


def test_a_log_line_has_only_the_length_of_a_long_frame():
    text = json.dumps([2, "1", "X", {"value": KEY, "filler": "x" * MAX_MASKED_LENGTH, "key": "AuthorizationKey"}])
    assert in_log(text) == f"({len(text)} characters)"
    short = json.dumps([2, "1", "X", {"value": KEY, "filler": "x" * 1000, "key": "AuthorizationKey"}])
    assert KEY[:8] not in in_log(short)
    assert len(in_log(short)) == 200


def test_a_very_long_name_counts_as_that_of_a_secret():
    name = "x" * 2000
    assert json.loads(masked(json.dumps({name: "SECRET", "key": "a"}))) == {name: HIDDEN, "key": "a"}


# --- by message and member -------------------------------------------------------------------

SECURITY = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
CLOCK = {"component": {"name": "ClockCtrlr"}, "variable": {"name": "TimeSource"}}


def reversed_members(value):
    """`value` (JSON) with the members of every object in the reverse order."""
    if isinstance(value, dict):
        return {name: reversed_members(branch) for name, branch in reversed(value.items())}
    return [reversed_members(item) for item in value] if isinstance(value, list) else value


def set_variables(**members):
    return [
        2,
        "1",
        "SetVariables",
        {"setVariableData": [{**SECURITY, **members}, {**CLOCK, "attributeValue": "NTP"}]},
    ]


def get_variables_answer(**members):
    result = {"attributeStatus": "Accepted", "attributeValue": KEY, **SECURITY, **members}
    clock = {"attributeStatus": "Accepted", "attributeValue": "NTP", **CLOCK}
    return [3, "1", {"getVariableResult": [result, clock]}]


def report(value):
    item = {**SECURITY, "variableAttribute": [{"type": "Actual", "value": value, "mutability": "ReadWrite"}]}
    return [2, "1", "NotifyReport", {"requestId": 1, "generatedAt": "x", "seqNo": 0, "reportData": [item]}]


OF_2_0_1 = {
    "SetVariables": ("", set_variables(attributeValue=KEY)),
    "SetVariables of the target": ("", set_variables(attributeValue=KEY, attributeType="Target")),
    "SetVariables of a vendor": (
        "",
        set_variables(attributeValue=KEY, variable={"name": "WifiPsk", "instance": "2"}),
    ),
    "SetVariables of an instance": (
        "",
        set_variables(attributeValue=KEY, variable={"name": "X", "instance": "Password"}),
    ),
    "SetVariables of a component": ("", set_variables(attributeValue=KEY, component={"name": "SimPin"})),
    "an answer to GetVariables": ("GetVariables", get_variables_answer()),
    "an answer with the target": ("GetVariables", get_variables_answer(attributeType="Target")),
    "NotifyReport": ("", report(KEY)),
    "NotifyEvent": ("", [2, "1", "NotifyEvent", {"eventData": [{"actualValue": KEY, **SECURITY}]}]),
    "customData": ("", [2, "1", "Heartbeat", {"customData": {"vendorId": "V", "wifiPassword": KEY}}]),
    "DataTransfer": ("", [2, "1", "DataTransfer", {"vendorId": "V", "data": {"apiKey": KEY}}]),
    "GetLog": ("", [2, "1", "GetLog", {"log": {"remoteLocation": f"ftp://me:{KEY}@host/"}}]),
}


@pytest.mark.parametrize("order", [lambda frame: frame, reversed_members], ids=["", "reversed"])
@pytest.mark.parametrize("name", OF_2_0_1)
def test_a_secret_of_ocpp_2_0_1_is_masked_in_the_message_log_and_in_log_lines(name, order):
    action, frame = OF_2_0_1[name]
    text = json.dumps(order(frame))
    assert KEY in text
    for is_json in (True, False):
        assert KEY not in masked(text, action, OCPP201, is_json=is_json)
    assert KEY not in in_log(text, OCPP201)
    assert KEY not in in_log(text, OCPP16)


def test_the_values_of_other_variables_are_shown():
    sent = set_variables(attributeValue=KEY)
    shown = json.loads(masked(json.dumps(sent), version=OCPP201))
    assert shown == set_variables(attributeValue=HIDDEN)
    answer = json.loads(masked(json.dumps(get_variables_answer()), "GetVariables", OCPP201))
    assert answer == get_variables_answer(attributeValue=HIDDEN)


CELLULAR = {"apn": "internet", "apnUserName": "u", "apnPassword": KEY, "simPin": 1234, "apnAuthentication": "PAP"}
VPN = {"server": "vpn.example", "user": "u", "password": KEY, "key": f"{KEY}2", "type": "IPSec"}


def test_the_four_secrets_of_a_network_profile_are_masked():
    def frame(apn, vpn):
        return [2, "1", "SetNetworkProfile", {"configurationSlot": 1, "connectionData": {"apn": apn, "vpn": vpn}}]

    shown = json.loads(masked(json.dumps(frame(CELLULAR, VPN)), version=OCPP201))
    apn, vpn = CELLULAR | {"apnPassword": HIDDEN, "simPin": HIDDEN}, VPN | {"password": HIDDEN, "key": HIDDEN}
    assert shown == frame(apn, vpn)


def test_the_data_of_a_customer_are_masked_though_nothing_marks_them():
    frame = [2, "1", "NotifyCustomerInformation", {"data": "Erika Mustermann, Berlin", "seqNo": 0, "requestId": 1}]
    shown = json.loads(masked(json.dumps(frame), "NotifyCustomerInformation", OCPP201, is_json=True))
    assert shown == [*frame[:3], frame[3] | {"data": HIDDEN}]


@pytest.mark.parametrize(("version", "action"), [(OCPP16, "ChangeConfiguration"), (OCPP201, "SetVariables")])
def test_the_text_of_an_error_to_a_command_with_secrets_is_masked(version, action):
    text = json.dumps([4, "1", "PropertyConstraintViolation", f"{KEY} is too long", {}])
    assert json.loads(masked(text, action, version, is_json=True))[3:] == [HIDDEN, HIDDEN]


def test_the_reason_why_a_variable_is_refused_is_masked_with_it():
    refusal = {
        "attributeStatus": "Rejected",
        "attributeStatusInfo": {"reasonCode": "X", "additionalInfo": f"not {KEY}"},
    }
    text = json.dumps([3, "1", {"setVariableResult": [{**refusal, **SECURITY}, {**refusal, **CLOCK}]}])
    assert masked(text, "SetVariables", OCPP201).count(KEY) == 1


SIGNED = "<signedData><value>1.5</value><signature>MEUCIQ</signature><publicKey>3059</publicKey></signedData>"


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        (OCPP16, "MeterValues", {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": SIGNED}]}]}),
        (OCPP16, "StartTransaction", {"connectorId": 1, "idTag": "KEY: 0815"}),
        (OCPP16, "SignedUpdateFirmware", {"firmware": {"signature": "sig=abc", "location": "https://host/"}}),
        (OCPP201, "TransactionEvent", {"idToken": {"idToken": "pin=0815", "type": "Central"}}),
        (OCPP201, "SignCertificate", {"csr": "key: abc", "certificateType": "V2GCertificate"}),
    ],
)
def test_a_text_that_is_declared_to_hold_no_secret_is_shown(version, action, payload):
    frame = [2, "1", action, payload]
    assert json.loads(masked(json.dumps(frame), version=version)) == frame
    assert json.loads(masked(json.dumps([2, "1", "Vendor", payload]), version=version)) != frame


def test_a_login_is_masked_in_every_text():
    frame = [2, "1", "StartTransaction", {"connectorId": 1, "idTag": f"ftp://u:{KEY}@host/"}]
    assert KEY not in masked(json.dumps(frame))


@pytest.mark.parametrize("action", ["Heartbeat", "StatusNotification"])
def test_a_member_that_the_schema_does_not_know_is_masked_by_its_name(action):
    frame = [2, "1", action, {"connectorId": 1, "wifiPassword": KEY, "info": {"password": KEY}, "status": [KEY]}]
    assert masked(json.dumps(frame)).count(KEY) == 1


@versions
def test_no_member_of_a_message_is_masked_by_its_name_unless_it_is_declared(version):
    """So that the names of OCPP and the heuristics for names agree."""
    named = {
        (schema.name, path)
        for schema in version.schemas.by_name.values()
        for path in paths(schema.resolved)
        if names_secret(path.rpartition(".")[2])
    }
    always = {
        (name, path) for name, kinds in version.secrets.items() for path, kind in kinds.items() if kind == ALWAYS
    }
    assert named <= always


@pytest.mark.parametrize(
    ("action", "field", "shown"),
    [
        ("NotifyReport", "reportData.0.variableAttribute.1.value", HIDDEN),
        ("NotifyReport", "reportData.variableAttribute.value", HIDDEN),
        ("NotifyCustomerInformation", "data", HIDDEN),
        ("StatusNotification", "info", f'"{KEY}"'),
        ("GetConfigurationResponse", "configurationKey.value", f'"{KEY}"'),  # masked before, with the whole answer
    ],
)
def test_the_example_of_a_finding_is_hidden_where_the_member_may_be_secret(action, field, shown):
    assert findings.example(action, field, KEY) == shown


KEY_CODE = {"idToken": "Zq90815", "type": "KeyCode"}


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Authorize", {"idToken": KEY_CODE}),
        ("TransactionEvent", {"idToken": {**KEY_CODE, "type": "keycode"}, "eventType": "Started"}),
        ("RequestStartTransaction", {"idToken": KEY_CODE, "groupIdToken": KEY_CODE}),
        ("SendLocalList", {"localAuthorizationList": [{"idToken": KEY_CODE, "idTokenInfo": {"status": "Blocked"}}]}),
        ("OfAVendor", {"is": {"idtoken": "Zq90815", "Type": "KeyCode"}}),
    ],
)
def test_a_key_code_is_masked(action, payload):
    """It may be in no log (OCPP 2.0.1 C04.FR.04); other tokens are shown."""
    assert "Zq90815" not in masked(json.dumps([2, "1", action, payload]), version=OCPP201)
    shown = json.dumps([2, "1", action, payload]).replace("KeyCode", "Central").replace("keycode", "Central")
    assert "Zq90815" in masked(shown, version=OCPP201)


def test_a_key_code_in_an_answer_is_masked():
    answer = [3, "1", {"idTokenInfo": {"status": "Accepted", "groupIdToken": KEY_CODE}}]
    assert "Zq90815" not in masked(json.dumps(answer), "Authorize", OCPP201)


def test_the_key_codes_of_a_message_are_found():
    assert [*redaction.key_codes({"a": [{"b": KEY_CODE}], "idToken": {"idToken": "1", "type": "Local"}})] == [
        "Zq90815"
    ]
