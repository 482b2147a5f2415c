"""How the effects of the commands of OCPP 1.6 are seen."""

from collections.abc import Callable, Hashable

from commands.actions import effects, limits, transfers
from commands.actions.base import Confirmation, FollowUp, Look
from commands.actions.effects import HOUR_S, MINUTE_S, within
from commands.actions.limits import Placed
from commands.actions.ocpp16 import charging, diagnostics, remote_trigger
from commands.actions.ocpp16.configuration import hide
from commands.models import CONFIRMED, NOT_APPLICABLE, Command
from core.ocpp.schemas import JSON
from transactions.models import Transaction

READ = "GetConfiguration"
STORED = ("Accepted", effects.REBOOT_REQUIRED)

# --- sessions --------------------------------------------------------------------------------


def _note_session(command: Command) -> JSON | None:
    found = Transaction.objects.filter(pk=command.payload["transactionId"], charger=command.charger_id)
    return {"transaction": pk, "charging_state": ""} if (pk := found.values_list("pk", flat=True).first()) else None


START = Confirmation(effects.began, effects.until_plugged_in("ConnectionTimeOut"))
STOP = Confirmation(effects.ended, within(5 * MINUTE_S), note=_note_session)

# --- the charger and its connectors ------------------------------------------------------------

RESET = Confirmation(effects.booted, within(10 * MINUTE_S))


def _available(command: Command) -> Look:
    """Connector 0 means all connectors of the charger."""
    number = command.payload["connectorId"]
    connectors = [c for c in command.charger.connectors.all() if number in (0, c.connector_id)]
    return effects.available(connectors, command.payload["type"])


AVAILABILITY = Confirmation(_available, effects.unless_scheduled(2 * MINUTE_S))

# --- settings ----------------------------------------------------------------------------------


# Lists of measurands, of which the order has no meaning.
SETS = frozenset({"metervaluesaligneddata", "metervaluessampleddata", "stoptxnaligneddata", "stoptxnsampleddata"})


def _setting(command: Command) -> Look:
    key, value = command.payload["key"], command.payload["value"]
    if command.set_again:
        return effects.SET_AGAIN
    answers, look = effects.read_by(command, READ)
    if look:
        return look
    rows = answers[-1].answer.get("configurationKey") or []
    found = next((row for row in rows if row["key"].casefold() == key.casefold()), None)
    if found is None:
        return effects.contradicted(answers, f"{key} was set, but the charger does not report it.")
    if "value" not in found or effects.is_hidden(found["value"]):
        return Look(NOT_APPLICABLE, f"The charger does not report the value of {key}.")
    if effects.is_same(found["value"], value, in_order=key.casefold() not in SETS):
        return Look(CONFIRMED, f"{key} was read back as {found['value']}.")
    return effects.contradicted(answers, f"{key} was set to {value}, but was read back as {found['value']}.")


def _read_setting(command: Command) -> FollowUp | None:
    return FollowUp(READ, {"key": [command.payload["key"]]}) if effects.may_read(command) else None


def _secret(command: Command) -> str | None:
    if command.status not in STORED:
        return ""
    shown = hide(command.payload)
    return "A secret is not read back." if effects.is_hidden(shown["value"]) else None


def _sets(command: Command) -> list[str]:
    return [command.payload["key"].casefold()] if command.status in STORED else []


SETTING = Confirmation(_setting, effects.within_of_setting, _read_setting, excluded=_secret, sets=_sets)

# --- charging profiles -------------------------------------------------------------------------


def _profile(command: Command) -> Placed:
    return Placed(command.payload["connectorId"], command.payload["csChargingProfiles"])


def _removed(command: Command) -> list[Placed]:
    rows = charging.criteria(command.payload).select(command.charger_id)
    return [Placed(row.evse_id, row.profile) for row in rows]


def _replaced(placed: Placed) -> list[Hashable]:
    """A profile replaces those with its id, and that with its purpose and stack level on its connector."""
    sent = placed.profile
    return [sent["chargingProfileId"], (placed.evse_id, sent["chargingProfilePurpose"], sent["stackLevel"])]


SET_PROFILE = limits.followed(_profile, "connectorId", _replaced)
CLEAR_PROFILE = limits.cleared("connectorId", _removed)

# --- local lists and reservations --------------------------------------------------------------

LOCAL_LIST = effects.local_list("listVersion")
RESERVE = effects.reservation("connectorId", "connector_id")

# --- firmware, logs and messages on request ----------------------------------------------------


def _update(command: Command) -> float:
    """Return two hours from the time at which the charger may install the firmware."""
    sent = command.payload.get("firmware") or command.payload
    return effects.until(sent.get("installDateTime"), sent.get("retrieveDateTime"), sent.get("retrieveDate"))


FIRMWARE = Confirmation(effects.updated(transfers.FIRMWARE), _update, note=effects.note_firmware)
SIGNED_FIRMWARE = Confirmation(effects.updated(transfers.SIGNED_FIRMWARE), _update, note=effects.note_firmware)
DIAGNOSTICS = Confirmation(effects.delivered(diagnostics.DELIVERY), within(HOUR_S))
LOG = Confirmation(effects.delivered(transfers.LOG), within(HOUR_S))


def _arrived(requested: Callable[[JSON], str]) -> Callable[[Command], Look]:
    def look(command: Command) -> Look:
        wanted = command.payload.get("connectorId")
        connectors = [c for c in command.charger.connectors.all() if wanted in (None, c.connector_id)]
        return effects.arrived(requested(command.payload), command, connectors)

    return look


TRIGGER = Confirmation(_arrived(remote_trigger.requested), within(MINUTE_S))
EXTENDED_TRIGGER = Confirmation(_arrived(remote_trigger.requested_by_extended), within(MINUTE_S))
