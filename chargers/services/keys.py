"""Charger keys for Basic auth (J §6.2.2), stored as salted hashes and compared in constant time."""

import hashlib
import hmac
import re
import secrets
from base64 import b64decode
from binascii import Error as Base64Error

# A key of 16 to 20 bytes may be written as 32 to 40 hex digits; both spellings are the same key.
HEX_KEY = re.compile(rb"(?:[0-9a-fA-F]{2}){16,20}")
# Characters of a key that an operator sets. Keys shorter than MIN_LENGTH can be guessed, but some chargers leave the
# factory with one that cannot be changed, so they are accepted if the operator confirms them.
MIN_LENGTH, MIN_CONFIRMED_LENGTH, MAX_LENGTH = 16, 8, 40


def check(key: str, allow_short: bool, how_to_allow: str) -> str:
    """Return a warning about `key` (text) or ""; raise `ValueError` with a sentence if it is not acceptable.

    `how_to_allow` is the part of that sentence that says how to confirm a short key.
    """
    length = len(key)
    if "\0" in key or not MIN_CONFIRMED_LENGTH <= length <= MAX_LENGTH:
        raise ValueError(f"A key has {MIN_LENGTH} to {MAX_LENGTH} characters; this one has {length}.")
    if length >= MIN_LENGTH:
        return ""
    if not allow_short:
        raise ValueError(
            f"A key of {length} characters can be guessed; keys have {MIN_LENGTH} to {MAX_LENGTH}. "
            f"If the charger can have no other key, {how_to_allow} to use this one."
        )
    return (
        f"This key has {length} characters and can be guessed: set one of {MIN_LENGTH} or more as soon as possible."
    )


def hashed(key: str) -> str:
    """Return the hash to store for `key` (text).

    The hash is fast on purpose, because keys are long and random, and all chargers may reconnect at the same time.
    """
    salt = secrets.token_hex(8)
    return f"{salt}${_digest(salt, _raw(key.encode()))}"


def matches(key: bytes, stored: str) -> bool:
    """Whether `stored` is the hash of `key` (bytes, in either spelling)."""
    salt, _, digest = stored.partition("$")
    return hmac.compare_digest(_digest(salt, _raw(key)), digest)


def presented(charger_id: str, authorization: bytes) -> bytes | None:
    """Return the key (bytes) in an `Authorization: Basic` header (bytes) that names `charger_id`, else None.

    The user name is the charger's id, so the key begins after it and one colon, and may contain any bytes.
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


def _raw(key: bytes) -> bytes:
    return bytes.fromhex(key.decode()) if HEX_KEY.fullmatch(key) else key


def _digest(salt: str, key: bytes) -> str:
    return hashlib.sha256(salt.encode() + key).hexdigest()
