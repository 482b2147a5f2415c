"""How the effects of the commands of OCPP 2.0.1 are seen."""

from typing import Any

from chargers import standard_variables
from chargers.models import Connector
from chargers.services import variables
from chargers.services.variables import Identity, VariableName
from commands.actions import effects, limits, requests, transfers
from commands.actions.base import Confirmation, FollowUp, Look
from commands.actions.effects import DAY_S, HOUR_S, MINUTE_S, within
from commands.actions.limits import Placed
from commands.actions.ocpp201 import device_model, firmware, names, remote_control
from commands.models import CONFIRMED, NOT_APPLICABLE, PENDING, Command
from core.ocpp.schemas import JSON
from transactions.models import Transaction

READ, READ_PROFILES = "GetVariables", "GetChargingProfiles"

# --- sessions --------------------------------------------------------------------------------


def _note_session(command: Command) -> JSON | None:
    known = Transaction.objects.filter(charger=command.charger_id)
    session = known.with_reference(command.payload["transactionId"]).first()
    return {"transaction": session.pk, "charging_state": session.charging_state} if session else None


START = Confirmation(effects.began, effects.until_plugged_in("EVConnectionTimeOut", "TxCtrlr"))
STOP = Confirmation(effects.ended, within(5 * MINUTE_S), note=_note_session)

# --- the charger and its connectors ------------------------------------------------------------


def _reset(command: Command) -> Look:
    """An EVSE that was reset reports its state again (B11, B12)."""
    evse_id = command.payload.get("evseId")
    if not evse_id:
        return effects.booted(command)
    connectors = [c for c in command.charger.connectors.all() if c.evse_id == evse_id]
    if any(effects.is_since(connector.received_at, command) for connector in connectors):
        return Look(CONFIRMED, f"EVSE {evse_id} has reported its state again.")
    return Look(PENDING, f"EVSE {evse_id} was expected to report its state again.")


def _until_reset(command: Command) -> float:
    waits = command.status == effects.SCHEDULED or command.payload["type"] == "OnIdle"
    return DAY_S if waits else 10 * MINUTE_S


RESET = Confirmation(_reset, _until_reset)


def _available(command: Command) -> Look:
    """Without an EVSE all connectors of the charger are meant."""
    evse = command.payload.get("evse", {})
    connectors = [c for c in command.charger.connectors.all() if _is_at(c, evse)]
    return effects.available(connectors, command.payload["operationalStatus"])


def _is_at(connector: Connector, evse: JSON) -> bool:
    wanted = evse.get("id") or connector.evse_id, evse.get("connectorId") or connector.connector_id
    return wanted == (connector.evse_id, connector.connector_id)


AVAILABILITY = Confirmation(_available, effects.unless_scheduled(2 * MINUTE_S))

# --- settings ----------------------------------------------------------------------------------


def _note_settings(command: Command) -> list[JSON]:
    """Return those items that the charger accepted and that can be read back, as in SetVariables."""
    items = {variables.identity(names.read(item)): item for item in command.payload["setVariableData"]}
    shown = device_model.hide(command.payload)["setVariableData"]
    hidden = {variables.identity(names.read(i)) for i in shown if effects.is_hidden(i["attributeValue"])}
    known = variables.find_all(command.charger_id, [names.read(item) for item in items.values()])
    write_only = {variables.identity(n) for n, row in known.items() if row.mutability == device_model.WRITE_ONLY}
    return [items[key] for key in _sets(command) if key in items and key not in hidden | write_only]


def _sets(command: Command) -> list[Identity]:
    """Return what the charger has stored, in the order of its answer."""
    results = command.answer.get("setVariableResult", [])
    stored = [result for result in results if result["attributeStatus"] in device_model.STORED]
    return [variables.identity(names.read(result)) for result in stored]


def _none_stored(command: Command) -> str | None:
    return None if _sets(command) else ""


def _settings(command: Command) -> Look:
    if not command.noted:
        return Look(NOT_APPLICABLE, "A secret is not read back.")
    items = [(names.read(item), item["attributeValue"]) for item in command.noted]
    wanted = [(name, value) for name, value in items if variables.identity(name) not in command.set_again]
    if not wanted:
        return effects.SET_AGAIN
    answers, look = effects.read_by(command, READ)
    if look:
        return look
    results: dict[Any, JSON] = {}
    for answer in answers:
        for result in answer.answer.get("getVariableResult", []):
            results[variables.identity(names.read(result))] = result
    if any(variables.identity(name) not in results for name, _ in wanted):
        return effects.unanswered(command, READ)
    read = [(name, value, results[variables.identity(name)]) for name, value in wanted]
    if missing := [name for name, _, found in read if found["attributeStatus"] in device_model.NOT_REPORTED]:
        return effects.contradicted(
            answers, f"{names.label(missing[0])} was set, but the charger does not report it."
        )
    shown = [(name, value, found) for name, value, found in read if _is_shown(found)]
    if not shown:
        return Look(NOT_APPLICABLE, f"The charger does not report the value of {names.label(read[0][0])}.")
    return _compared(answers, shown)


def _compared(answers: list[Command], shown: list[tuple[VariableName, str, JSON]]) -> Look:
    """Compare the values `shown`, each as name, value that was set, and what was read."""
    for name, value, found in shown:
        if not effects.is_same(found["attributeValue"], value, in_order=not _is_set(name)):
            return effects.contradicted(answers, _other(name, value, found["attributeValue"]))
    if len(shown) > 1:
        return Look(CONFIRMED, f"{len(shown)} values were read back as they were set.")
    name, _, found = shown[0]
    return Look(CONFIRMED, f"{names.label(name)} was read back as {found['attributeValue']}.")


def _is_set(name: VariableName) -> bool:
    known = standard_variables.find(name.component, name.variable, name.instance)
    return known is not None and known.data_type == "MemberList"


def _is_shown(result: JSON) -> bool:
    value = result.get("attributeValue")
    return result["attributeStatus"] == "Accepted" and value is not None and not effects.is_hidden(value)


def _other(name: VariableName, value: str, read: str) -> str:
    return f"{names.label(name)} was set to {value}, but was read back as {read}."


def _read_settings(command: Command) -> FollowUp | None:
    if not command.noted or not effects.may_read(command):
        return None
    items = [{name: value for name, value in item.items() if name != "attributeValue"} for item in command.noted]
    return FollowUp(READ, {"getVariableData": items})


SETTINGS = Confirmation(_settings, effects.within_of_setting, _read_settings, _note_settings, _none_stored, _sets)

# --- charging profiles -------------------------------------------------------------------------


def _profile(command: Command) -> Placed:
    return Placed(command.payload["evseId"], command.payload["chargingProfile"])


def _replaced(placed: Placed) -> list[int]:
    """A profile replaces that with its id. A charger refuses one that conflicts with another one."""
    return [placed.profile["id"]]


SET_PROFILE = limits.followed(_profile, "evseId", _replaced)


def _cleared(command: Command) -> Look:
    """GetChargingProfiles is answered NoProfiles if none is left that meets the criteria (K09.FR.01)."""
    answers, look = effects.read_by(command, READ_PROFILES)
    if look:
        return look
    if answers[-1].status == "NoProfiles":
        return Look(CONFIRMED, "GetChargingProfiles no longer finds such a profile.")
    return effects.contradicted(answers, "GetChargingProfiles still finds such a profile.")


def _read_profiles(command: Command) -> FollowUp:
    number, criteria = command.payload.get("chargingProfileId"), command.payload.get("chargingProfileCriteria", {})
    if number is not None:
        return FollowUp(READ_PROFILES, {"chargingProfile": {"chargingProfileId": [number]}})
    wanted = {name: criteria[name] for name in ("chargingProfilePurpose", "stackLevel") if name in criteria}
    evse = {"evseId": criteria["evseId"]} if "evseId" in criteria else {}
    return FollowUp(READ_PROFILES, {"chargingProfile": wanted or {"chargingLimitSource": ["CSO"]}} | evse)


CLEAR_PROFILE = Confirmation(_cleared, within(5 * MINUTE_S), _read_profiles)

# --- local lists and reservations --------------------------------------------------------------

LOCAL_LIST = effects.local_list("versionNumber")
RESERVE = effects.reservation("evseId", "evse_id")

# --- what is delivered, and messages on request ------------------------------------------------


def _update(command: Command) -> float:
    sent = command.payload["firmware"]
    return effects.until(sent.get("installDateTime"), sent.get("retrieveDateTime"))


FIRMWARE = Confirmation(effects.updated(transfers.SIGNED_FIRMWARE), _update, note=effects.note_firmware)
PUBLICATION = Confirmation(effects.delivered(firmware.PUBLICATION), within(HOUR_S))
LOG = Confirmation(effects.delivered(transfers.LOG), within(HOUR_S))
REPORT = Confirmation(effects.delivered(requests.REPORT), within(HOUR_S))


def _not_reported(command: Command) -> str | None:
    return None if command.status == "Accepted" and command.payload["report"] else ""


CUSTOMER = Confirmation(effects.delivered(requests.REPORT), within(HOUR_S), excluded=_not_reported)


def _arrived(command: Command) -> Look:
    evse = command.payload.get("evse", {})
    connectors = [c for c in command.charger.connectors.all() if _is_at(c, evse)]
    return effects.arrived(remote_control.requested(command.payload), command, connectors)


TRIGGER = Confirmation(_arrived, within(MINUTE_S))
