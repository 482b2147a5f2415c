"""The commands of every OCPP version."""

from collections.abc import Callable, Mapping

from django.core.exceptions import ImproperlyConfigured

from chargers.models import Charger
from commands.actions import intents
from commands.actions.base import Action
from commands.actions.intents import Encoded, Encoders, Verbatim
from commands.actions.local_lists import Form
from commands.actions.ocpp16 import certificates as ocpp16_certificates
from commands.actions.ocpp16 import charging as ocpp16_charging
from commands.actions.ocpp16 import intents as ocpp16_intents
from commands.actions.ocpp16 import local_list as ocpp16_local_list
from commands.actions.ocpp16 import table as ocpp16
from commands.actions.ocpp201 import certificates as ocpp201_certificates
from commands.actions.ocpp201 import charging as ocpp201_charging
from commands.actions.ocpp201 import intents as ocpp201_intents
from commands.actions.ocpp201 import local_list as ocpp201_local_list
from commands.actions.ocpp201 import table as ocpp201
from commands.actions.smart_charging import SmartCharging
from core.ocpp.schemas import Schema, Violation
from core.ocpp.versions import OCPP16, OCPP201, Version

Table = Mapping[Version, Mapping[str, Action]]


def with_schemas(table: Table) -> Table:
    """Return `table`; raise `ImproperlyConfigured` if it has an action without a schema."""
    for version, actions in table.items():
        if unknown := sorted(actions.keys() - version.schemas.actions):
            raise ImproperlyConfigured(
                f"The table of commands of {version} has {', '.join(unknown)}, but its schemas have not. Correct "
                "the name, or add the files of the schema."
            )
    return table


ACTIONS: Table = with_schemas({OCPP16: ocpp16.ACTIONS, OCPP201: ocpp201.ACTIONS})
INTENTS: Mapping[Version, Encoders] = {OCPP16: ocpp16_intents.ENCODERS, OCPP201: ocpp201_intents.ENCODERS}
# Of each version: the request to renew a certificate, by whether it is one for cars.
RENEWALS = {OCPP16: ocpp16_certificates.RENEWALS, OCPP201: ocpp201_certificates.RENEWALS}
# Of each version: what a charger has reported about its smart charging.
SMART_CHARGING: Mapping[Version, Callable[[Charger], SmartCharging]] = {
    OCPP16: ocpp16_charging.smart_charging_of,
    OCPP201: ocpp201_charging.smart_charging_of,
}
LOCAL_LISTS: Mapping[Version, Form] = {OCPP16: ocpp16_local_list.FORM, OCPP201: ocpp201_local_list.FORM}

# The names of the commands of any version, in the order in which lists offer them.
NAMES = tuple(dict.fromkeys(name for actions in ACTIONS.values() for name in actions))


def action_of(version: Version, name: str) -> Action:
    """Return the action `name` of `version`; raise `Violation` if that version has no such command."""
    action = ACTIONS[version].get(name)
    if action is None:
        raise Violation("action", f"The charger speaks {version}, which has no command {name}.", "")
    return action


def encode(version: Version, intent: object) -> Encoded:
    """Return (action, payload) of `intent` in `version`; raise `Violation` if that version cannot express it."""
    if isinstance(intent, Verbatim):
        return action_of(version, intent.action).name, intent.payload
    encoder = INTENTS[version].get(type(intent))
    if encoder is None:
        raise Violation("", f"The charger speaks {version}, which has no command for this.", "")
    return encoder(intent)


def schema_of(version: Version, name: str) -> Schema | None:
    """Return the schema of the intent or the action `name`, or None if `version` has neither."""
    if intents.BY_NAME.get(name) in INTENTS[version]:
        return intents.SCHEMAS[name]
    return version.schemas.requests[name] if name in ACTIONS[version] else None
