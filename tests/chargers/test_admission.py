"""Who may open a socket: security profiles and keys (security whitepaper §2)."""

from base64 import b64encode

import pytest

from chargers import admission, keys
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
