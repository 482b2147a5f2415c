"""New keys for Basic auth that a command sends to a charger. All OCPP versions share these functions.

The key is `AuthorizationKey` in OCPP 1.6 (security whitepaper A01) and `BasicAuthPassword` in 2.0.1 (A01).
"""

import secrets

from chargers.models import Charger
from chargers.services import keys

MAX_PENDING_KEYS = 8  # keys sent to a charger that it neither accepted nor refused
ACCEPTED, REBOOT_REQUIRED = "Accepted", "RebootRequired"


def generated() -> str:
    """Return a key of 20 random bytes as 40 hex digits."""
    return secrets.token_hex(20)


def submitted(charger: int, key: str) -> None:
    """Allow `key` from now on, because `charger` (primary key) may use it before its answer arrives."""
    row = Charger.objects.select_for_update().get(pk=charger)
    pending = [*row.next_authorization_key_hashes, keys.hashed(key)]
    row.next_authorization_key_hashes = pending[-MAX_PENDING_KEYS:]
    row.save(update_fields=["next_authorization_key_hashes"])


def answered(charger: int, key: str, status: str) -> None:
    """Make `key` the only one of `charger` (primary key) if it was accepted, forget it if it was refused.

    After RebootRequired the charger uses the new key from its next boot, so both are valid until then.
    """
    row = Charger.objects.select_for_update().get(pk=charger)
    pending = row.next_authorization_key_hashes
    matching = next((hashed for hashed in pending if keys.matches(key.encode(), hashed)), None)
    if matching is None:  # the charger has already used it, or an operator set another; the charger's key counts
        if status == ACCEPTED and not row.has_key(key):
            row.authorization_key_hash = keys.hashed(key)
            row.save(update_fields=["authorization_key_hash"])
    elif status == ACCEPTED:
        row.use_key(matching)
    elif status != REBOOT_REQUIRED:
        row.next_authorization_key_hashes = [hashed for hashed in pending if hashed != matching]
        row.save(update_fields=["next_authorization_key_hashes"])
