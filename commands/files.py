"""The place where chargers fetch firmware and leave diagnostics and logs: unguessable URLs that expire."""

import hashlib
import re
import secrets
import time
from urllib.parse import quote

from django.conf import settings
from django.core import signing

SALT = "firmware"
TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
UPLOADS, FIRMWARE = "/files/uploads/", "/files/firmware/"


def upload_url():
    """A new place for one file, None where PUBLIC_URL does not say how chargers reach us."""
    return f"{settings.PUBLIC_URL}{UPLOADS}{secrets.token_urlsafe(24)}/" if settings.PUBLIC_URL else None


def upload_token(url):
    """The token in an `upload_url` of ours, None for a place of somebody else's.

    Raises `ValueError` for one of ours that was not made here: it could be guessed.
    """
    base = f"{settings.PUBLIC_URL}{UPLOADS}"
    if not settings.PUBLIC_URL or not url.startswith(base):
        return None
    token = url.removeprefix(base).partition("/")[0]
    if not TOKEN.fullmatch(token):
        raise ValueError("this is not a place that was made here")
    return token


def fingerprint(token):
    """What is kept of an upload token: it proves the token, and does not tell it."""
    return hashlib.sha256(token.encode()).hexdigest()


def firmware_url(firmware, expires_at):
    """Where a charger may fetch `firmware` until `expires_at` (seconds since the epoch)."""
    token = signing.dumps([firmware.pk, int(expires_at)], salt=SALT)
    return f"{settings.PUBLIC_URL}{FIRMWARE}{token}/{quote(firmware.filename)}"


def firmware_of(token):
    """The primary key of the firmware a token opens, None for one that is wrong or over."""
    try:
        pk, expires_at = signing.loads(token, salt=SALT)
    except signing.BadSignature:
        return None
    return pk if time.time() < expires_at else None
