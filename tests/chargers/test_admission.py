"""Who may open a socket: security profiles and keys (security whitepaper §2)."""

import time
from base64 import b64encode
from ipaddress import ip_network

import pytest
from websockets.exceptions import InvalidStatus

from chargers import handshake, keys
from chargers.throttling import Failures
from tests.builders import a_charger
from tests.live import an_id

pytestmark = pytest.mark.django_db
KEY, NEXT = "00112233445566778899aabbccddeeff00112233", "ffeeddccbbaa99887766554433221100ffeeddcc"
CPO = {"O": ["Test CPO"]}


def knock(charger, key="", **more):
    credentials = b64encode(f"{charger}:".encode() + key.encode())
    return handshake.HandshakeRequest(charger.charger_id, b"Basic " + credentials if key else b"", **more)


def enters(charger, key="", **more):
    (outcome,) = handshake.admit([knock(charger, key, **more)])
    return not isinstance(outcome, handshake.Refused)


def test_each_profile_takes_its_own_kind_of_connection_only():
    own = {"subject": {"CN": ["SERIAL"], **CPO}, "secured": True}
    for profile, taken in enumerate([{}, {"key": KEY}, {"key": KEY, "secured": True}, own]):
        charger = a_charger(
            security_profile=profile, authorization_key_hash=keys.hashed(KEY), serial_number=f"SERIAL{profile}"
        )
        offers = [{"key": KEY}, {"key": KEY, "secured": True}]
        offers.append({"secured": True, "subject": {"CN": [charger.serial_number], **CPO}})
        assert [enters(charger, **offer) for offer in offers] == [profile in (0, n) for n in (1, 2, 3)], taken


@pytest.mark.parametrize(
    "subject",
    [
        *(None, {}, {"CN": ["OTHER"], **CPO}, {"CN": ["SERIAL"]}, {"CN": ["SERIAL"], "O": []}, CPO),
        *({"CN": [], **CPO}, {"CN": ["SERIAL", "OTHER"], **CPO}, {"CN": ["serial"], **CPO}),
        *(
            {"CN": ["SERIAL"], "O": [*organisations]}
            for organisations in [
                *(
                    ["Somebody"],
                    ["No Test CPO"],
                    ["Test CPO Ltd"],
                    ["test cpo"],
                    [" Test CPO"],
                    ["Test  CPO"],
                ),
                *(["Test CPO", "Somebody"], ["Somebody", "Test CPO"]),
            ]
        ),
    ],
)
def test_a_certificate_is_the_chargers_own_and_its_operators(subject):
    charger = a_charger(security_profile=3, serial_number="SERIAL")
    assert not enters(charger, secured=True, subject=subject)
    assert enters(charger, secured=True, subject={"CN": ["SERIAL"], **CPO})
    assert not enters(charger, secured=False, subject={"CN": ["SERIAL"], **CPO})


def test_the_higher_profile_takes_over_once_it_was_used():
    charger = a_charger(security_profile=1, next_security_profile=2, authorization_key_hash=keys.hashed(KEY))
    assert enters(charger, KEY) and enters(charger, KEY, secured=True)
    assert not enters(charger, KEY) and enters(charger, KEY, secured=True)


def test_the_next_key_takes_over_once_it_was_used():
    charger = a_charger(authorization_key_hash=keys.hashed(KEY), next_authorization_key_hashes=[keys.hashed(NEXT)])
    assert enters(charger, KEY) and enters(charger, NEXT)
    assert not enters(charger, KEY) and enters(charger, NEXT)


def test_a_charger_without_a_key_can_not_meet_a_profile_that_needs_one():
    assert not enters(a_charger(security_profile=1)) and not enters(a_charger(security_profile=2), secured=True)


@pytest.mark.parametrize("profile", [None, 0])
@pytest.mark.parametrize(
    ("address", "let_in"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("192.0.2.1", False), ("", False), ("unknown", False)],
)
def test_a_charger_without_a_key_is_let_in_from_open_networks_only(settings, profile, address, let_in):
    settings.OCPP_OPEN_NETWORKS = [ip_network("10.0.0.0/8")]
    assert enters(a_charger(security_profile=profile), address=address) == let_in
    with_key = a_charger(authorization_key_hash=keys.hashed(KEY))
    assert enters(with_key, KEY, address=address)


def knocks(door, address, charger_id, times):
    """How many of `times` knocks were looked at, all of them refused."""
    looked = 0
    for _ in range(times):
        try:
            door.look(handshake.HandshakeRequest(charger_id, address=address))
        except handshake.Refused as refused:
            assert refused.status == 429
            continue
        looked += 1
        door.refuse(handshake.HandshakeRequest(charger_id, address=address), None)
    return looked


def test_who_is_refused_too_often_is_not_looked_up_any_more(settings):
    settings.OCPP_REFUSALS_PER_MINUTE = 3
    door = handshake.HandshakeLimiter()
    assert knocks(door, "192.0.2.1", "A", 10) == 3
    assert knocks(door, "192.0.2.2", "A", 1) == 1
    assert sum(knocks(door, "192.0.2.1", f"B{number}", 1) for number in range(100)) == 30 - 3


def test_a_charger_is_not_shut_out_by_a_stranger_at_its_address(settings):
    settings.OCPP_REFUSALS_PER_MINUTE = 1
    door = handshake.HandshakeLimiter()
    door.admit("OURS")
    knocks(door, "192.0.2.1", "A", 1), [knocks(door, "192.0.2.1", f"B{number}", 1) for number in range(20)]
    door.look(handshake.HandshakeRequest("OURS", address="192.0.2.1"))
    with pytest.raises(handshake.Refused):
        door.look(handshake.HandshakeRequest("C", address="192.0.2.1"))


WAYS_IN = {
    "its key": ({"security_profile": 1}, {"key": KEY}),
    "the key sent to it": ({"next_authorization_key_hashes": [keys.hashed(NEXT)]}, {"key": NEXT}),
    "the key, over TLS": ({"security_profile": 2}, {"key": KEY, "secured": True}),
    "the next profile": ({"security_profile": 1, "next_security_profile": 2}, {"key": KEY, "secured": True}),
    "a certificate": ({"security_profile": 3}, {"secured": True, "subject": {"CN": ["505"], **CPO}}),
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_wrong_credentials_shut_out_the_stranger_and_not_the_charger(settings, way):
    settings.OCPP_REFUSALS_PER_MINUTE = 3
    columns, shown = WAYS_IN[way]
    charger = a_charger("505", authorization_key_hash=keys.hashed(KEY), **columns)
    door, wrong = (
        handshake.HandshakeLimiter(),
        knock(charger, "of somebody else", secured=shown.get("secured", False)),
    )
    for _ in range(3):
        door.look(wrong)
        (refusal,) = handshake.admit([wrong])
        door.refuse(wrong, refusal.wanted)
    with pytest.raises(handshake.Refused):
        door.look(wrong)
    door.look(knock(charger, **shown))
    assert enters(charger, **shown)


def test_what_the_door_remembers_is_bounded(monkeypatch):
    monkeypatch.setattr(handshake.HandshakeLimiter, "MOST_WANTED", 2)
    door = handshake.HandshakeLimiter()
    for _ in range(2):
        for charger in [a_charger(security_profile=1) for _ in range(3)]:
            door.refuse(knock(charger), handshake.Credentials.of(charger))
    assert len(door.wanted) == 2


def test_the_right_key_enters_at_once_behind_a_flood_of_wrong_ones(live):
    charger_id = an_id()
    status, made, _ = live.request(
        "POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "authorization_key": KEY}
    )
    assert status == 201, made

    def answer(key):
        header = {"Authorization": "Basic " + b64encode(f"{charger_id}:{key}".encode()).decode()}
        try:
            with live.socket(charger_id, additional_headers=header) as socket:
                return socket.response.status_code
        except InvalidStatus as refused:
            return refused.response.status_code

    # More than the limit for each web process, whichever of them takes a connection.
    answers = [answer(f"wrong {number}") for number in range(200)]
    assert set(answers) == {401, 429} and answers[-10:] == [429] * 10
    assert [answer(KEY) for _ in range(10)] == [101] * 10
    assert answer("wrong again") == 429


def test_failures_are_forgotten_after_a_minute_and_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(Failures, "MAX_NAMES", 2)
    failures = Failures()
    for name in "aabc":
        failures.add(name)
    assert [failures.of(name) for name in "abc"] == [0, 1, 1]
    monkeypatch.setattr("chargers.throttling.WINDOW_S", 0)
    assert failures.of("b") == 0


def test_a_key_of_a_fleet_is_checked_in_microseconds():
    stored, key = keys.hashed(KEY), KEY.encode()
    began = time.perf_counter()
    assert all(keys.matches(key, stored) for _ in range(5000))
    assert time.perf_counter() - began < 1
