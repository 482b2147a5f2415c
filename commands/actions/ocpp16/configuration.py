"""GetConfiguration, ChangeConfiguration and ChangeAvailability (OCPP 1.6 §5.8, §5.3, §5.2)."""

from collections.abc import Iterator

from chargers.models import Charger
from chargers.models.variables import READ_ONLY, READ_WRITE
from chargers.services import variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.actions import availability, boots, keys
from commands.models import CALL_ERROR, Command
from core.ocpp import schemas
from core.ocpp.redaction import HIDDEN
from core.ocpp.schemas import JSON

AUTHORIZATION_KEY = "AuthorizationKey"
SECURITY_PROFILE = "SecurityProfile"


def complete_change(payload: JSON, charger: Charger) -> None:
    """Generate an AuthorizationKey of 20 random bytes if none is given (security whitepaper A01.FR.07).

    An empty key counts as not given, because the charger could not connect again with it.
    """
    if _names(payload.get("key"), AUTHORIZATION_KEY) and payload.get("value", "") == "":
        payload["value"] = keys.generated()


def payload_for_retry(payload: JSON) -> JSON:
    """Drop the value of an AuthorizationKey, because it is not stored; `complete_change` generates another one."""
    if _names(payload["key"], AUTHORIZATION_KEY):
        return {name: value for name, value in payload.items() if name != "value"}
    return payload


def check_change(payload: JSON, charger: Charger) -> Iterator[str]:
    key, value = payload["key"], payload["value"]
    if _names(key, AUTHORIZATION_KEY) and not 16 <= len(value) <= 40:
        yield "An AuthorizationKey is 16 to 20 bytes: 32 to 40 hex digits, or as many characters."
    if _names(key, SECURITY_PROFILE) and value.isdecimal() and int(value) < (charger.security_profile or 0):
        # Security whitepaper A00.FR.005: never over OCPP.
        raise schemas.Violation("value", "A security profile can't be lowered over OCPP.", "")
    if (known := variables.find(charger.pk, VariableName(key))) and known.readonly:
        yield f"The charger has reported that {key} is read-only."


def change_submitted(command: Command) -> None:
    """Allow a new key from now on, because the charger may use it before its answer arrives (whitepaper A01)."""
    if _names(command.payload["key"], AUTHORIZATION_KEY):
        keys.submitted(command.charger_id, command.payload.opened()["value"])


def changed(command: Command) -> None:
    """Record a value that the charger accepted, now or from its next boot; of an AuthorizationKey only the hash."""
    key, value = command.payload["key"], command.payload["value"]
    if _names(key, AUTHORIZATION_KEY):
        keys.answered(command.charger_id, command.payload.opened()["value"], command.status)
    elif command.status in ("Accepted", "RebootRequired"):
        waits = boots.is_awaited(command, command.status)
        variables.accept(command.charger_id, VariableName(key), value, waits, command.action)
        if _names(key, SECURITY_PROFILE) and value in ("1", "2", "3"):
            Charger.objects.filter(pk=command.charger_id).update(next_security_profile=int(value))


def not_changed(command: Command) -> None:
    """Forget a key that was refused or never sent; keep one without an answer, because the charger may use it."""
    refused = command.outcome == CALL_ERROR or command.sent_at is None
    if refused and _names(command.payload["key"], AUTHORIZATION_KEY):
        keys.answered(command.charger_id, command.payload.opened()["value"], "")


def hide(payload: JSON) -> JSON:
    """Replace the value of an AuthorizationKey, which must not be stored after the command is finished."""
    is_secret = _names(payload.get("key"), AUTHORIZATION_KEY) and payload.get("value")
    return payload | {"value": HIDDEN} if is_secret else payload


def _names(key: object, wanted: str) -> bool:
    """Whether `key` is `wanted`; configuration keys are compared without case (OCPP 1.6 §6.9, CiString)."""
    return isinstance(key, str) and key.casefold() == wanted.casefold()


def reported(command: Command) -> None:
    """Store the reported keys, all or those requested, and delete those that the charger does not have."""
    requested = command.payload.get("key")
    if requested:
        unknown = map(VariableName, command.answer.get("unknownKey", []))
        variables.forget(command.charger_id, unknown, "GetConfigurationResponse")
    rows = command.answer.get("configurationKey", [])
    values = [_variable(row) for row in rows if not _names(row["key"], AUTHORIZATION_KEY)]
    variables.report(command.charger_id, values, "GetConfigurationResponse", is_whole=not requested)


def _variable(row: JSON) -> ReportedVariable:
    return ReportedVariable(VariableName(row["key"]), row.get("value"), READ_ONLY if row["readonly"] else READ_WRITE)


def availability_changed(command: Command) -> None:
    """Connector 0 means all connectors of the charger."""
    connectors = command.charger.connectors.all()
    if command.payload["connectorId"]:
        connectors = connectors.filter(connector_id=command.payload["connectorId"])
    availability.changed(command, connectors, command.payload["type"])
