"""The handshake checks security profiles and keys (security whitepaper §2), and limits repeated refusals."""

import time
from base64 import b64encode
from ipaddress import ip_network

import pytest
from django.contrib.auth.hashers import make_password
from websockets.exceptions import InvalidStatus

from chargers.services import keys
from core.redis.throttling import Failures
from gateway import handshake
from gateway.credentials import Credentials, HandshakeRequest
from tests.support.builders import a_charger
from tests.support.handshakes import KEY, NEXT, a_request
from tests.support.live import an_id

pytestmark = pytest.mark.django_db
CPO = {"O": ["Test CPO"]}


def is_admitted_with(charger, key="", **more):
    (outcome,) = handshake.admit([a_request(charger, key, **more)])
    return not isinstance(outcome, handshake.Refused)


def test_each_profile_admits_only_its_own_kind_of_connection():
    own = {"subject": {"CN": ["SERIAL"], **CPO}, "secured": True}
    for profile, profile_offer in enumerate([{}, {"key": KEY}, {"key": KEY, "secured": True}, own]):
        charger = a_charger(
            security_profile=profile, authorization_key_hash=keys.hashed(KEY), serial_number=f"SERIAL{profile}"
        )
        offers = [{"key": KEY}, {"key": KEY, "secured": True}]
        offers.append({"secured": True, "subject": {"CN": [charger.serial_number], **CPO}})
        assert [is_admitted_with(charger, **offer) for offer in offers] == [profile in (0, n) for n in (1, 2, 3)], (
            profile_offer
        )


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
def test_a_certificate_must_name_the_charger_and_its_operator(subject):
    charger = a_charger(security_profile=3, serial_number="SERIAL")
    assert not is_admitted_with(charger, secured=True, subject=subject)
    assert is_admitted_with(charger, secured=True, subject={"CN": ["SERIAL"], **CPO})
    assert not is_admitted_with(charger, secured=False, subject={"CN": ["SERIAL"], **CPO})


def test_the_higher_profile_replaces_the_former_one_once_it_was_used():
    charger = a_charger(security_profile=1, next_security_profile=2, authorization_key_hash=keys.hashed(KEY))
    assert is_admitted_with(charger, KEY)
    assert is_admitted_with(charger, KEY, secured=True)
    assert not is_admitted_with(charger, KEY)
    assert is_admitted_with(charger, KEY, secured=True)


def test_the_next_key_replaces_the_former_one_once_it_was_used():
    charger = a_charger(authorization_key_hash=keys.hashed(KEY), next_authorization_key_hashes=[keys.hashed(NEXT)])
    assert is_admitted_with(charger, KEY)
    assert is_admitted_with(charger, NEXT)
    assert not is_admitted_with(charger, KEY)
    assert is_admitted_with(charger, NEXT)


def test_a_charger_without_a_key_cannot_meet_a_profile_that_needs_one():
    assert not is_admitted_with(a_charger(security_profile=1))
    assert not is_admitted_with(a_charger(security_profile=2), secured=True)


@pytest.mark.parametrize("profile", [None, 0])
@pytest.mark.parametrize(
    ("address", "is_admitted"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("192.0.2.1", False), ("", False), ("unknown", False)],
)
def test_a_charger_without_a_key_is_admitted_from_open_networks_only(settings, profile, address, is_admitted):
    settings.OCPP_OPEN_NETWORKS = [ip_network("10.0.0.0/8")]
    assert is_admitted_with(a_charger(security_profile=profile), address=address) == is_admitted
    with_key = a_charger(authorization_key_hash=keys.hashed(KEY))
    assert is_admitted_with(with_key, KEY, address=address)


def checked(limiter, address, charger_id, times):
    """Return how many of `times` refused handshakes were checked, and not answered 429."""
    count = 0
    for _ in range(times):
        try:
            limiter.check(HandshakeRequest(charger_id, address=address))
        except handshake.Refused as refused:
            assert refused.status == 429
            continue
        count += 1
        limiter.refuse(HandshakeRequest(charger_id, address=address), None)
    return count


def test_a_charger_id_that_is_refused_too_often_is_answered_429(settings):
    settings.OCPP_REFUSALS_PER_MINUTE = 3
    limiter = handshake.HandshakeLimiter()
    assert checked(limiter, "192.0.2.1", "A", 10) == 3
    assert checked(limiter, "192.0.2.2", "A", 1) == 1
    assert sum(checked(limiter, "192.0.2.1", f"B{number}", 1) for number in range(100)) == 30 - 3


def test_an_admitted_charger_is_not_locked_out_by_others_at_its_address(settings):
    settings.OCPP_REFUSALS_PER_MINUTE = 1
    limiter = handshake.HandshakeLimiter()
    limiter.admit("KNOWN")
    checked(limiter, "192.0.2.1", "A", 1), [checked(limiter, "192.0.2.1", f"B{number}", 1) for number in range(20)]
    limiter.check(HandshakeRequest("KNOWN", address="192.0.2.1"))
    with pytest.raises(handshake.Refused):
        limiter.check(HandshakeRequest("C", address="192.0.2.1"))


CREDENTIALS = {
    "its key": ({"security_profile": 1}, {"key": KEY}),
    "the key sent to it": ({"next_authorization_key_hashes": [keys.hashed(NEXT)]}, {"key": NEXT}),
    "the key, over TLS": ({"security_profile": 2}, {"key": KEY, "secured": True}),
    "the next profile": ({"security_profile": 1, "next_security_profile": 2}, {"key": KEY, "secured": True}),
    "a certificate": ({"security_profile": 3}, {"secured": True, "subject": {"CN": ["505"], **CPO}}),
}


@pytest.mark.parametrize("kind", CREDENTIALS)
def test_a_flood_of_wrong_credentials_does_not_lock_out_the_charger(settings, kind):
    settings.OCPP_REFUSALS_PER_MINUTE = 3
    columns, presented = CREDENTIALS[kind]
    charger = a_charger("505", authorization_key_hash=keys.hashed(KEY), **columns)
    limiter, wrong = (
        handshake.HandshakeLimiter(),
        a_request(charger, "of another charger", secured=presented.get("secured", False)),
    )
    for _ in range(3):
        limiter.check(wrong)
        (refusal,) = handshake.admit([wrong])
        limiter.refuse(wrong, refusal.credentials)
    with pytest.raises(handshake.Refused):
        limiter.check(wrong)
    limiter.check(a_request(charger, **presented))
    assert is_admitted_with(charger, **presented)


def test_remembered_credentials_are_limited(monkeypatch):
    monkeypatch.setattr(handshake.HandshakeLimiter, "MAX_CREDENTIALS", 2)
    limiter = handshake.HandshakeLimiter()
    for _ in range(2):
        for charger in [a_charger(security_profile=1) for _ in range(3)]:
            limiter.refuse(a_request(charger), Credentials.of(charger))
    assert len(limiter.credentials) == 2


def test_the_right_key_is_admitted_at_once_during_a_flood_of_wrong_ones(live):
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

    # More than the limit of each web process, because any of them may accept a connection.
    answers = [answer(f"wrong {number}") for number in range(200)]
    assert set(answers) == {401, 429}
    assert answers[-10:] == [429] * 10
    assert [answer(KEY) for _ in range(10)] == [101] * 10
    assert answer("wrong again") == 429


def test_failures_are_forgotten_after_a_minute_and_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(Failures, "MAX_NAMES", 2)
    failures = Failures()
    for name in "aabc":
        failures.add(name)
    assert [failures.of(name) for name in "abc"] == [0, 1, 1]
    monkeypatch.setattr("core.redis.throttling.WINDOW_S", 0)
    assert failures.of("b") == 0


def test_a_hundred_keys_are_checked_faster_than_one_password():
    """Keys are random, so that they need no slow hash; a fleet that reconnects presents thousands at once."""
    stored, key = keys.hashed(KEY), KEY.encode()
    began = time.thread_time()
    assert all(keys.matches(key, stored) for _ in range(100))
    checked = time.thread_time()
    make_password("password")
    assert checked - began < time.thread_time() - checked
