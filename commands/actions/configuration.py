"""GetConfiguration, ChangeConfiguration and ChangeAvailability (OCPP 1.6 §5.8, §5.3, §5.2)."""

import secrets

from chargers import keys, schemas
from chargers.models import Charger, ConfigurationKey, Connector

AUTHORIZATION_KEY = "AuthorizationKey"
SECURITY_PROFILE = "SecurityProfile"
HIDDEN = "(hidden)"


def complete_change(payload, charger):
    """A key for Basic auth that nobody chose is 20 random bytes (security whitepaper A01.FR.07)."""
    if payload.get("key") == AUTHORIZATION_KEY and "value" not in payload:
        payload["value"] = secrets.token_hex(20)


def check_change(payload, charger):
    key, value = payload["key"], payload["value"]
    if key == AUTHORIZATION_KEY and not 16 <= len(value) <= 40:
        yield "An AuthorizationKey is 16 to 20 bytes: 32 to 40 hex digits, or as many characters."
    if key == SECURITY_PROFILE and value.isdecimal() and int(value) < (charger.security_profile or 0):
        # Security whitepaper A00.FR.005: never over OCPP.
        raise schemas.Violation("value", "A security profile can't be lowered over OCPP.", "")
    if ConfigurationKey.objects.filter(charger=charger, key=key, readonly=True).exists():
        yield f"{key} is read-only, as the charger told."


def asked_change(command):
    """The charger may use a new key before its answer has come (security whitepaper A01)."""
    if command.payload["key"] == AUTHORIZATION_KEY:
        hashed = keys.hashed(command.payload["value"])
        Charger.objects.filter(pk=command.charger_id).update(next_authorization_key_hash=hashed)


def changed(command):
    """Accepted, or accepted from the next boot on; AuthorizationKey is never kept but as its hash."""
    key, value = command.payload["key"], command.payload["value"]
    if key == AUTHORIZATION_KEY:
        _key_changed(command, value)
    elif command.status in ("Accepted", "RebootRequired"):
        ConfigurationKey.objects.update_or_create(
            charger=command.charger,
            key=key,
            defaults={"value": value, "reboot_required": command.status == "RebootRequired"},
        )
        if key == SECURITY_PROFILE and value in ("1", "2", "3"):
            Charger.objects.filter(pk=command.charger_id).update(next_security_profile=int(value))


def _key_changed(command, value):
    charger = Charger.objects.select_for_update().get(pk=command.charger_id)
    ours = charger.next_authorization_key_hash
    if not ours or not keys.matches(value.encode(), ours):  # the charger has used it already, or a newer one waits
        return
    if command.status in ("Accepted", "RebootRequired"):
        charger.authorization_key_hash = ours
    charger.next_authorization_key_hash = ""
    charger.save(update_fields=["authorization_key_hash", "next_authorization_key_hash"])


def hide(payload):
    """What of a ChangeConfiguration may be shown and kept."""
    return payload | {"value": HIDDEN} if payload.get("key") == AUTHORIZATION_KEY else payload


def told(command):
    """Every key, or those that were asked for; one that is not known there is not kept here."""
    told = {row["key"]: row for row in command.response.get("configurationKey", [])}
    held = ConfigurationKey.objects.filter(charger=command.charger)
    if command.payload.get("key"):
        held.filter(key__in=command.response.get("unknownKey", [])).delete()
    elif told:
        held.exclude(key__in=told).delete()
    told.pop(AUTHORIZATION_KEY, None)
    ConfigurationKey.objects.bulk_create(
        (
            ConfigurationKey(charger=command.charger, key=key, value=row.get("value"), readonly=row["readonly"])
            for key, row in sorted(told.items())
        ),
        update_conflicts=True,
        unique_fields=["charger", "key"],
        update_fields=["value", "readonly", "updated_at"],
    )


def availability_changed(command):
    """`Scheduled` is shown at the connectors until they do as they were told; connector 0 is all of them."""
    if command.status not in ("Accepted", "Scheduled"):
        return
    connectors = Connector.objects.filter(charger=command.charger)
    if command.payload["connectorId"]:
        connectors = connectors.filter(connector_id=command.payload["connectorId"])
    scheduled = command.payload["type"] if command.status == "Scheduled" else ""
    connectors.update(scheduled_availability=scheduled)
