"""GetConfiguration, ChangeConfiguration and ChangeAvailability (OCPP 1.6 §5.8, §5.3, §5.2)."""

import secrets
from functools import partial

from django.db import transaction
from django.db.models import Q

from chargers import budgets, findings, keys, schemas
from chargers.masking import HIDDEN, without_secrets
from chargers.models import Charger, ConfigurationKey, Connector
from commands.models import CALL_ERROR

AUTHORIZATION_KEY = "AuthorizationKey"
SECURITY_PROFILE = "SecurityProfile"
MOST_KEYS = 8  # sent to a charger, and neither taken nor refused


def complete_change(payload, charger):
    """A key for Basic auth that nobody chose is 20 random bytes (security whitepaper A01.FR.07).

    An empty one is none: with it the charger could not connect again.
    """
    if _names(payload.get("key"), AUTHORIZATION_KEY) and payload.get("value", "") == "":
        payload["value"] = secrets.token_hex(20)


def payload_for_retry(payload):
    """A key for Basic auth is not kept: another one is made."""
    if _names(payload["key"], AUTHORIZATION_KEY):
        return {name: value for name, value in payload.items() if name != "value"}
    return payload


def check_change(payload, charger):
    key, value = payload["key"], payload["value"]
    if _names(key, AUTHORIZATION_KEY) and not 16 <= len(value) <= 40:
        yield "An AuthorizationKey is 16 to 20 bytes: 32 to 40 hex digits, or as many characters."
    if _names(key, SECURITY_PROFILE) and value.isdecimal() and int(value) < (charger.security_profile or 0):
        # Security whitepaper A00.FR.005: never over OCPP.
        raise schemas.Violation("value", "A security profile can't be lowered over OCPP.", "")
    if ConfigurationKey.objects.filter(charger=charger, key__iexact=key, readonly=True).exists():
        yield f"{key} is read-only, as the charger told."


def asked_change(command):
    """The charger may use a new key before its answer has come (security whitepaper A01)."""
    if _names(command.payload["key"], AUTHORIZATION_KEY):
        charger = Charger.objects.select_for_update().get(pk=command.charger_id)
        following = [*charger.next_authorization_key_hashes, keys.hashed(command.payload.opened()["value"])]
        charger.next_authorization_key_hashes = following[-MOST_KEYS:]
        charger.save(update_fields=["next_authorization_key_hashes"])


def changed(command):
    """Accepted, or accepted from the next boot on; AuthorizationKey is never kept but as its hash."""
    key, value = command.payload["key"], command.payload["value"]
    if _names(key, AUTHORIZATION_KEY):
        _key_changed(command, command.payload.opened()["value"])
    elif command.status in ("Accepted", "RebootRequired"):
        known = ConfigurationKey.objects.filter(charger=command.charger, key__iexact=key).first()
        ConfigurationKey.objects.update_or_create(
            charger=command.charger,
            key=known.key if known else key,
            defaults={"value": value, "reboot_required": _waits_for_reboot(command)},
        )
        if _names(key, SECURITY_PROFILE) and value in ("1", "2", "3"):
            Charger.objects.filter(pk=command.charger_id).update(next_security_profile=int(value))


def _waits_for_reboot(command):
    """Unless the charger has booted while its answer was on its way to the books."""
    booted_at = Charger.objects.values_list("last_boot_at", flat=True).get(pk=command.charger_id)
    return command.status == "RebootRequired" and not (booted_at and booted_at > command.sent_at)


def _key_changed(command, value):
    charger = Charger.objects.select_for_update().get(pk=command.charger_id)
    following = charger.next_authorization_key_hashes
    ours = next((hashed for hashed in following if keys.matches(value.encode(), hashed)), None)
    if ours is None:  # the charger has used it already, or an operator set another meanwhile: the charger's is true
        if command.status == "Accepted" and not charger.has_key(value):
            charger.authorization_key_hash = keys.hashed(value)
            charger.save(update_fields=["authorization_key_hash"])
        return
    if command.status == "Accepted":
        charger.use_key(ours)
    elif command.status != "RebootRequired":  # then it uses the new one from its next boot on
        charger.next_authorization_key_hashes = [hashed for hashed in following if hashed != ours]
        charger.save(update_fields=["next_authorization_key_hashes"])


def not_changed(command):
    """A key that was refused, or never sent, opens nothing; one that was sent into silence may have been taken."""
    refused = command.outcome == CALL_ERROR or command.sent_at is None
    if refused and _names(command.payload["key"], AUTHORIZATION_KEY):
        _key_changed(command, command.payload.opened()["value"])


def hide(payload):
    """What of a ChangeConfiguration is kept once it is over."""
    is_secret = _names(payload.get("key"), AUTHORIZATION_KEY) and payload.get("value")
    return payload | {"value": HIDDEN} if is_secret else payload


def _names(key, wanted):
    """Names of configuration keys are compared without case (OCPP 1.6 §6.9, CiString)."""
    return isinstance(key, str) and key.casefold() == wanted.casefold()


def told(command):
    """Every key, or those that were asked for; one that is not known there is not kept here."""
    told = {row["key"]: without_secrets(row) for row in command.response.get("configurationKey", [])}
    held = ConfigurationKey.objects.filter(charger=command.charger)
    if command.payload.get("key"):
        held.filter(key__in=command.response.get("unknownKey", [])).delete()
    elif told:
        held.exclude(key__in=told).delete()
    told = {key: row for key, row in told.items() if not _names(key, AUTHORIZATION_KEY)}
    told = _within_budget(command.charger_id, told, set(held.values_list("key", flat=True)))
    ConfigurationKey.objects.bulk_create(
        (
            ConfigurationKey(charger=command.charger, key=key, value=row.get("value"), readonly=row["readonly"])
            for key, row in sorted(told.items())
        ),
        update_conflicts=True,
        unique_fields=["charger", "key"],
        update_fields=["value", "readonly", "updated_at"],
    )


def _within_budget(charger, told, held):
    """`told`, {key: row}, without those keys for which `charger`, which has the keys `held`, has no room."""
    budget = budgets.BUDGETS["configuration"]
    new = [key for key in told if key not in held]
    past = set(new[max(0, budget.limit - len(held)) :]) if budget.limit else set()
    if past:
        count = partial(findings.record, charger, "GetConfigurationResponse", {budget.finding: len(past)})
        transaction.on_commit(count, robust=True)
    return {key: row for key, row in told.items() if key not in past}


def availability_changed(command):
    """`Scheduled` is shown at the connectors until they do as they were told; connector 0 is all of them."""
    if command.status not in ("Accepted", "Scheduled"):
        return
    connectors = Connector.objects.filter(charger=command.charger)
    if command.payload["connectorId"]:
        connectors = connectors.filter(connector_id=command.payload["connectorId"])
    wanted = command.payload["type"]
    connectors.update(scheduled_availability="")
    if command.status == "Scheduled":  # where it has not come true already
        there = Q(status="Unavailable")
        connectors.filter(~there if wanted == "Inoperative" else there).update(scheduled_availability=wanted)
