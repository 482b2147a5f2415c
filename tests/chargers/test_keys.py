"""Keys of chargers for Basic auth."""

from base64 import b64encode

import pytest

from chargers.services import keys

HEX = "0001020304050607FFFFFFFFCCCCCCCCCCCCCCCC"


def basic(credentials):
    return b"Basic " + b64encode(credentials)


@pytest.mark.parametrize("sent", [HEX.encode(), HEX.lower().encode(), bytes.fromhex(HEX)])
def test_a_hex_key_matches_in_every_spelling(sent):
    assert keys.matches(sent, keys.hashed(HEX))


def test_another_key_does_not_match():
    assert not keys.matches(b"another-secret-key", keys.hashed("a-secret-key-16ch"))


def test_the_stored_key_is_salted_and_does_not_show_it():
    assert keys.hashed(HEX) != keys.hashed(HEX)
    assert HEX not in keys.hashed(HEX)


def test_the_key_may_hold_colons_and_any_bytes():
    assert keys.presented("505", basic(b"505:a:b\xff")) == b"a:b\xff"


def test_the_id_may_hold_a_colon():
    assert keys.presented("VID:5", basic(b"VID:5:secret")) == b"secret"


@pytest.mark.parametrize("header", [b"", b"Bearer x", b"Basic !!!", basic(b"506:secret"), basic(b"505")])
def test_a_header_that_is_not_basic_auth_of_this_charger_presents_nothing(header):
    assert keys.presented("505", header) is None
