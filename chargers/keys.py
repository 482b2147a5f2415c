"""Charger keys for Basic auth (J §6.2.2): stored hashed, with a salt, and compared in constant time."""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode
from binascii import Error as Base64Error

# A key of 16 to 20 bytes may be written as 32 to 40 hex digits; both spellings are the same key.
HEX_KEY = re.compile(rb"(?:[0-9a-fA-F]{2}){16,20}")
# Characters of a key that an operator sets. Keys shorter than LEAST can be guessed: some chargers leave the factory
# with one that cannot be changed, so they are taken where the operator insists.
LEAST, LEAST_ALLOWED, MOST = 16, 8, 40


def check(key, allow_short, how_to_allow):
    """The warning about `key` (text), "" where there is none; raises `ValueError` with a sentence for one not taken.

    `how_to_allow` completes "to use it all the same, …" for where the key comes from.
    """
    length = len(key)
    if "\0" in key or not LEAST_ALLOWED <= length <= MOST:
        raise ValueError(f"A key has {LEAST} to {MOST} characters; this one has {length}.")
    if length >= LEAST:
        return ""
    if not allow_short:
        raise ValueError(
            f"A key of {length} characters can be guessed; keys have {LEAST} to {MOST}. If the charger can have no "
            f"other key, {how_to_allow} to use it all the same."
        )
    return f"This key has {length} characters and can be guessed: set one of {LEAST} or more as soon as possible."


def hashed(key):
    """What to store for `key` (text). Fast on purpose: keys are long and random, and fleets reconnect at once."""
    salt = secrets.token_hex(8)
    return f"{salt}${_digest(salt, _raw(key.encode()))}"


def matches(key, stored):
    """Whether `key` (bytes, in either spelling) is the one of which `stored` was made."""
    salt, _, digest = stored.partition("$")
    return hmac.compare_digest(_digest(salt, _raw(key)), digest)


def presented(charger_id, authorization):
    """The key (bytes) in an `Authorization: Basic` header (bytes) that names `charger_id`, else None.

    The user name is the charger's id, so the key begins after it and one colon, and may hold any bytes.
    """
    scheme, _, encoded = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        credentials = b64decode(encoded.strip(), validate=True)
    except Base64Error:
        return None
    name = charger_id.encode() + b":"
    return credentials[len(name) :] if credentials.startswith(name) else None


def _raw(key):
    return bytes.fromhex(key.decode()) if HEX_KEY.fullmatch(key) else key


def _digest(salt, key):
    return hashlib.sha256(salt.encode() + key).hexdigest()
