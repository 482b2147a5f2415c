"""Keys and passwords are masked in whatever frame they come; what is no secret stays as it was sent."""

import json
import statistics
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ocpp.redaction import HIDDEN, MAX_MASKED_LENGTH, InLog, masked
from tests.chargers.test_hostile_frames import BOUNDED, values

KEY = "0011223344556677889900aabbccddeeff001122"
LINE = {"timestamp": "2025-02-26T12:00:00Z", "sampledValue": [{"value": "1500", "unit": "Wh"}]}
keys = st.text(string.ascii_letters + string.digits, min_size=16, max_size=40).map(lambda text: f"Zq{text}")
spellings = st.sampled_from(["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY", "authorization_key"])
names = st.sampled_from(
    [*("password", "Password", "wifiPassword", "apn_password", "passphrase", "Secret", "clientSecret"), "api-key"]
)
logins = st.sampled_from(["ftp://user:{}@host/x", "https://{}@host/?a=b@c", "see sftp://u:{}@10.0.0.1 for it"])


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
        {"data": json.dumps({draw(names): key, "other": draw(values)})},
        {"data": f"{draw(names)}={key}&x=1"},
        {"location": f"http://host/files/uploads/{key}/log.txt"},
    ]
    payload = {"before": draw(values), "configurationKey": [draw(st.sampled_from(places))], "after": draw(values)}
    frame = draw(st.sampled_from([[2, "1", "X", payload], [3, "1", payload], [4, "1", "E", "", payload]]))
    return json.dumps(frame, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))), key


@BOUNDED
@given(planted())
def test_a_planted_key_never_appears(frame):
    text, key = frame
    assert key in text and key not in masked(text)


@BOUNDED
@given(planted(), st.integers(0, 400))
def test_nor_in_a_frame_that_was_cut_off(frame, missing):
    text, key = frame
    cut = text[: max(1, len(text) - missing - 1)]
    assert key not in masked(cut)


@BOUNDED
@given(st.sampled_from(["AuthorizationKey", "password"]), keys)
def test_nor_under_a_name_written_with_escapes(name, key):
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
def test_a_secret_is_masked_however_it_is_called(text):
    for frame in (text, json.dumps([2, "1", "DataTransfer", {"vendorId": "V", "data": text}])):
        assert "SECRET" not in masked(frame) and "SECRET" not in str(InLog(frame))


def test_what_is_no_secret_though_it_is_called_a_key_is_told():
    body = [3, "1", {"configurationKey": [{"key": "HeartbeatInterval", "value": "1"}], "unknownKey": ["X"]}]
    body.append({"key": "AllowChargingWithoutKey", "value": "true"})
    body.append({"idToken": "ABC", "publicKey": "x", "issuerKeyHash": "ab"})
    assert json.loads(masked(json.dumps(body))) == body


def test_what_a_charger_says_of_a_key_that_it_refuses_is_masked():
    text = json.dumps([4, "1", "PropertyConstraintViolation", f"{KEY} is too long", {"given": KEY}])
    assert json.loads(masked(text, "ChangeConfiguration")) == [4, "1", "PropertyConstraintViolation", HIDDEN, HIDDEN]
    assert masked(text, "Reset") == text


def test_the_rest_of_the_frame_is_told():
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
def test_a_frame_without_a_secret_stays_as_it_was_sent(text):
    assert masked(text) == text


def test_json_in_texts_of_json_without_end_is_told_by_its_length():
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
def test_masking_takes_time_in_proportion_to_the_length(name):
    make = in_lists if " " in name and name not in PIECES else in_texts
    short, long = make(FRAMES[name], 2**18), make(FRAMES[name], 2**20)
    assert statistics.median(seconds(long) / seconds(short) for _ in range(5)) < 8


def seconds(text):
    began = time.thread_time()
    masked(text)
    return time.thread_time() - began


def test_a_line_of_the_log_tells_a_long_frame_by_its_length_alone():
    text = json.dumps([2, "1", "X", {"value": KEY, "filler": "x" * MAX_MASKED_LENGTH, "key": "AuthorizationKey"}])
    assert str(InLog(text)) == f"({len(text)} characters)"
    short = json.dumps([2, "1", "X", {"value": KEY, "filler": "x" * 1000, "key": "AuthorizationKey"}])
    assert KEY[:8] not in str(InLog(short)) and len(str(InLog(short))) == 200


def test_a_name_without_end_is_that_of_a_secret():
    name = "x" * 2000
    assert json.loads(masked(json.dumps({name: "SECRET", "key": "a"}))) == {name: HIDDEN, "key": "a"}
