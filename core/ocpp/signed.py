"""Signed messages (OCPP 2.0.1 part 4, §7): a JWS whose payload is that of the plain message."""

import base64
import binascii
from typing import Any

SUFFIX = "-Signed"  # of the action of a signed message
PAYLOAD = "payload"  # the member of the JWS that holds the text of the message, in base64url


def is_extended(frame: Any) -> bool:
    """Whether `frame` is a signed CALL of five elements, of which the third is the extension (part 4, §7.1)."""
    return (
        isinstance(frame, list)
        and len(frame) == 5
        and isinstance(frame[2], dict)
        and isinstance(frame[3], str)
        and frame[3].endswith(SUFFIX)
    )


def without_extension(frame: list[Any]) -> list[Any]:
    """Return a signed CALL in the order of a plain one; any other frame as it is."""
    return [*frame[:2], *frame[3:]] if is_extended(frame) else frame


def content(signed: dict[str, Any]) -> str | None:
    """Return the JSON text in a JWS (RFC 7515 §7.2.2), None if it has none. The signature is not verified."""
    encoded = signed.get(PAYLOAD)
    if not isinstance(encoded, str):
        return None
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, ValueError):
        return None
