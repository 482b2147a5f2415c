"""Who may open a socket: security profiles and keys (security whitepaper §2)."""

import time
from base64 import b64encode
from ipaddress import ip_network

import pytest

from chargers import admission, keys
from chargers.throttling import Failures
from tests.builders import a_charger

pytestmark = pytest.mark.django_db
KEY, NEXT = "00112233445566778899aabbccddeeff00112233", "ffeeddccbbaa99887766554433221100ffeeddcc"
CPO = {"O": "Test CPO"}


def knock(charger, key="", **more):
    credentials = b64encode(f"{charger}:".encode() + key.encode())
    return admission.Knock(charger.charger_id, b"Basic " + credentials if key else b"", **more)


def enters(charger, key="", **more):
    (outcome,) = admission.admit([knock(charger, key, **more)])
    return not isinstance(outcome, admission.Refused)


def test_each_profile_takes_its_own_kind_of_connection_only():
    own = {"subject": {"CN": "SERIAL", **CPO}, "secured": True}
    for profile, taken in enumerate([{}, {"key": KEY}, {"key": KEY, "secured": True}, own]):
        charger = a_charger(
            security_profile=profile, authorization_key_hash=keys.hashed(KEY), serial_number=f"SERIAL{profile}"
        )
        offers = [{"key": KEY}, {"key": KEY, "secured": True}]
        offers.append({"secured": True, "subject": {"CN": charger.serial_number, **CPO}})
        assert [enters(charger, **offer) for offer in offers] == [profile in (0, n) for n in (1, 2, 3)], taken


@pytest.mark.parametrize(
    "subject",
    [None, {}, {"CN": "OTHER", **CPO}, {"CN": "SERIAL"}, {"CN": "SERIAL", "O": "Somebody"}, CPO],
)
def test_a_certificate_is_the_chargers_own_and_its_operators(subject):
    charger = a_charger(security_profile=3, serial_number="SERIAL")
    assert not enters(charger, secured=True, subject=subject)
    assert enters(charger, secured=True, subject={"CN": "SERIAL", **CPO})
    assert not enters(charger, secured=False, subject={"CN": "SERIAL", **CPO})


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
            door.look(address, charger_id)
        except admission.Refused as refused:
            assert refused.status == 429
            continue
        looked += 1
        door.refuse(address, charger_id)
    return looked


def test_who_is_refused_too_often_is_not_looked_up_any_more(settings):
    settings.OCPP_REFUSALS_PER_MINUTE = 3
    door = admission.Door()
    assert knocks(door, "192.0.2.1", "A", 10) == 3
    assert knocks(door, "192.0.2.2", "A", 1) == 1
    assert sum(knocks(door, "192.0.2.1", f"B{number}", 1) for number in range(100)) == 30 - 3


def test_a_charger_is_not_shut_out_by_a_stranger_at_its_address(settings):
    settings.OCPP_REFUSALS_PER_MINUTE = 1
    door = admission.Door()
    door.admit("OURS")
    knocks(door, "192.0.2.1", "A", 1), [knocks(door, "192.0.2.1", f"B{number}", 1) for number in range(20)]
    door.look("192.0.2.1", "OURS")
    with pytest.raises(admission.Refused):
        door.look("192.0.2.1", "C")


def test_failures_are_forgotten_after_a_minute_and_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(Failures, "MOST_NAMES", 2)
    failures = Failures()
    for name in "aabc":
        failures.add(name)
    assert [failures.of(name) for name in "abc"] == [0, 1, 1]
    monkeypatch.setattr("chargers.throttling.WINDOW", 0)
    assert failures.of("b") == 0


def test_a_key_of_a_fleet_is_checked_in_microseconds():
    stored, key = keys.hashed(KEY), KEY.encode()
    began = time.perf_counter()
    assert all(keys.matches(key, stored) for _ in range(5000))
    assert time.perf_counter() - began < 1
