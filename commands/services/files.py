"""URLs under which chargers fetch firmware and upload diagnostics and logs; they cannot be guessed and expire."""

import hashlib
import re
import secrets
import time
from typing import Protocol
from urllib.parse import quote

from django.conf import settings
from django.core import signing

SALT = "firmware"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
UPLOADS, FIRMWARE = "/files/uploads/", "/files/firmware/"


class Image(Protocol):
    """A `Firmware`, whose module imports this one."""

    pk: int

    @property
    def filename(self) -> str: ...


def upload_url() -> str | None:
    """A new URL for one file, None if PUBLIC_URL is not set, because chargers could not reach it."""
    return f"{settings.PUBLIC_URL}{UPLOADS}{secrets.token_urlsafe(24)}/" if settings.PUBLIC_URL else None


def upload_token(url: str) -> str | None:
    """The token in a URL of `upload_url`, None for a URL of another server.

    Raises `ValueError` for a token that `upload_url` cannot have made, because it could be guessed.
    """
    base = f"{settings.PUBLIC_URL}{UPLOADS}"
    if not settings.PUBLIC_URL or not url.startswith(base):
        return None
    token = url.removeprefix(base).partition("/")[0]
    if not TOKEN.fullmatch(token):
        raise ValueError("this URL was not made by this system")
    return token


def fingerprint(token: str) -> str:
    """Digest of an upload token, which is stored in its place, so that the database does not hold the token."""
    return hashlib.sha256(token.encode()).hexdigest()


def firmware_url(firmware: Image, expires_at: float) -> str:
    """URL under which a charger may fetch `firmware` until `expires_at` (seconds since the epoch)."""
    token = signing.dumps([firmware.pk, int(expires_at)], salt=SALT)
    return f"{settings.PUBLIC_URL}{FIRMWARE}{token}/{quote(firmware.filename)}"


def firmware_at(url: str) -> int | None:
    """The primary key of the firmware of a URL of `firmware_url`, None for any other or an expired one."""
    base = f"{settings.PUBLIC_URL}{FIRMWARE}"
    is_own = bool(settings.PUBLIC_URL) and url.startswith(base)
    return firmware_of(url.removeprefix(base).partition("/")[0]) if is_own else None


def firmware_of(token: str) -> int | None:
    """The primary key of the firmware of a token, None for an invalid or expired one."""
    try:
        pk, expires_at = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return pk if time.time() < expires_at else None
