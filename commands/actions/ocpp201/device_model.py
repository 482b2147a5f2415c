"""GetReport, GetVariables and SetVariables (B05, B06, B08), and the password and security profile (A01, A05)."""

from collections.abc import Iterator

import orjson

from chargers.models import Charger, Variable
from chargers.models.variables import ACTUAL
from chargers.services import values, variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.actions import boots, keys, requests
from commands.actions.ocpp201 import names, network, portions
from commands.models import CALL_ERROR, Command
from core.ocpp import schemas
from core.ocpp.redaction import HIDDEN
from core.ocpp.schemas import JSON

SECURITY = "SecurityCtrlr"
PASSWORD = VariableName("BasicAuthPassword", SECURITY)
PROFILE = VariableName("SecurityProfile", SECURITY)
WRITE_ONLY = "WriteOnly"
MIN_PASSWORD, MAX_PASSWORD, LONGEST_PASSWORD = 16, 40, 64  # characters (A00.FR.205 and its erratum)
STORED = ("Accepted", "RebootRequired")
UNKNOWN = ("UnknownComponent", "UnknownVariable")
NOT_REPORTED = (*UNKNOWN, "NotSupportedAttributeType")
# Simulated replies are the same for every request, so they name no variable.
NO_VARIABLE = {"component": {"name": "-"}, "variable": {"name": "-"}, "attributeStatus": "Rejected"}
NO_VALUES, NOTHING_SET = {"getVariableResult": [NO_VARIABLE]}, {"setVariableResult": [NO_VARIABLE]}


def _is(name: VariableName, wanted: VariableName) -> bool:
    return variables.identity(name) == variables.identity(wanted)


def _refuse_duplicates(payload: JSON, member: str) -> None:
    """Raise `Violation` if the list `member` names an attribute of a variable twice (B05.FR.13)."""
    seen = set()
    for item in payload.get(member, []):
        named = [item["component"], item.get("variable"), item.get("attributeType", ACTUAL)]
        key = orjson.dumps(named, option=orjson.OPT_SORT_KEYS).decode().casefold()
        if key in seen:
            raise schemas.Violation(member, f"{item['component']['name']} is named twice with the same variable.", "")
        seen.add(key)


# --- GetReport and GetVariables --------------------------------------------------------------


def check_report(payload: JSON, charger: Charger) -> tuple[()]:
    _refuse_duplicates(payload, "componentVariable")
    return ()


def portions_of_report(payload: JSON, charger: Charger) -> list[JSON]:
    """Each portion is a request of its own, so the others get their own ids at submission."""
    unlike = frozenset({requests.ID})
    return portions.of("GetReport", payload, "componentVariable", charger, unlike=unlike)


def check_get(payload: JSON, charger: Charger) -> Iterator[str]:
    _refuse_duplicates(payload, "getVariableData")
    wanted = [names.read(item) for item in payload["getVariableData"]]
    for name, known in variables.find_all(charger.pk, wanted).items():
        if known.mutability == WRITE_ONLY:
            yield f"The charger has reported that {names.label(name)} is write-only."


def portions_of_get(payload: JSON, charger: Charger) -> list[JSON]:
    return portions.of("GetVariables", payload, "getVariableData", charger)


def was_read(command: Command) -> None:
    """Store the values of the answer, and delete the variables and attributes that the charger does not have."""
    read: list[ReportedVariable] = []
    unknown: list[VariableName] = []
    for result in command.answer.get("getVariableResult", []):
        name, status = names.read(result), result["attributeStatus"]
        if status == "Accepted":
            read.append(ReportedVariable(name, result.get("attributeValue"), mutability=None))
        unknown += _unknown(name, status)
    variables.forget(command.charger_id, unknown, "GetVariablesResponse")
    variables.report(command.charger_id, read, "GetVariablesResponse")


def _unknown(name: VariableName, status: str) -> list[VariableName]:
    if status in UNKNOWN:
        return variables.all_attributes(name)
    return [name] if status == "NotSupportedAttributeType" else []


# --- SetVariables ----------------------------------------------------------------------------


def complete_set(payload: JSON, charger: Charger) -> None:
    """Generate a BasicAuthPassword if its value is empty or left out (A01.FR.07)."""
    items = payload.get("setVariableData")
    if isinstance(items, list):
        payload["setVariableData"] = [_with_password(item) for item in items]


def _with_password(item: object) -> object:
    if isinstance(item, dict) and _names_password(item) and item.get("attributeValue", "") == "":
        return item | {"attributeValue": keys.generated()}
    return item


def _names_password(item: JSON) -> bool:
    """Whether an item, which may not be valid, names the password for Basic auth."""
    parts = item.get("component"), item.get("variable")
    found = [part.get("name") if isinstance(part, dict) else None for part in parts]
    wanted = [PASSWORD.component, PASSWORD.variable]
    return [str(text).casefold() for text in found] == [text.casefold() for text in wanted]


def set_for_retry(payload: JSON) -> JSON:
    """Empty the value of a BasicAuthPassword, because it is not stored; `complete_set` generates another one."""
    items = [item | {"attributeValue": ""} if _names_password(item) else item for item in payload["setVariableData"]]
    return payload | {"setVariableData": items}


def hide(payload: JSON) -> JSON:
    """Replace the value of a BasicAuthPassword, which must not be stored after the command is finished."""
    items = payload.get("setVariableData", [])
    if not any(map(_names_password, items)):
        return payload
    hidden = [item | {"attributeValue": HIDDEN} if _names_password(item) else item for item in items]
    return payload | {"setVariableData": hidden}


def check_set(payload: JSON, charger: Charger) -> Iterator[str]:
    """Refuse what the charger has to refuse by its own report, and warn of what only the standard says."""
    _refuse_duplicates(payload, "setVariableData")
    wanted = {names.read(item): item["attributeValue"] for item in payload["setVariableData"]}
    known = variables.find_all(charger.pk, wanted)
    for name, value in wanted.items():
        _refuse_read_only(name, known.get(name))
        if _is(name, PASSWORD):
            _check_password(charger, value, known.get(name))
        elif _is(name, PROFILE) and value.isdecimal():
            network.refuse_lower(charger, int(value), "setVariableData.attributeValue")
        elif _is(name, network.PRIORITY):
            yield from network.weak_slots(charger, value)
        yield from _doubts(name, value, known.get(name))


def _refuse_read_only(name: VariableName, known: Variable | None) -> None:
    if known and (known.readonly or known.constant):
        message = f"The charger has reported that {names.label(name)} is read-only."
        raise schemas.Violation("setVariableData", message, "")


def _check_password(charger: Charger, value: str, known: Variable | None) -> None:
    reported = values.limits(known)[1] if known else None
    longest = int(min(max(MAX_PASSWORD, reported or 0), LONGEST_PASSWORD))
    if not MIN_PASSWORD <= len(value) <= longest or "\0" in value:
        message = f"A BasicAuthPassword has {MIN_PASSWORD} to {longest} characters; this one has {len(value)}."
        raise schemas.Violation("setVariableData.attributeValue", message, "")


def _doubts(name: VariableName, value: str, known: Variable | None) -> Iterator[str]:
    """Refuse a value that does not fit what the charger reported; warn of one that does not fit the standard."""
    if known and known.characteristics:
        if objection := values.objection(value, known.characteristics):
            message = f"{names.label(name)}: {objection} The charger has reported this."
            raise schemas.Violation("setVariableData.attributeValue", message, "")
    elif objection := values.objection_of_standard(name, value):
        yield f"{names.label(name)}: {objection} So says OCPP 2.0.1."


def portions_of_set(payload: JSON, charger: Charger) -> list[JSON]:
    return portions.of("SetVariables", payload, "setVariableData", charger)


def set_submitted(command: Command) -> None:
    """Allow a new password from now on, because the charger may use it before its answer arrives (A01)."""
    if password := _password(command):
        keys.submitted(command.charger_id, password)


def _password(command: Command) -> str:
    items = command.payload.opened()["setVariableData"]
    return next((item["attributeValue"] for item in items if _names_password(item)), "")


def was_set(command: Command) -> None:
    """Store each value that the charger accepted, now or from its next boot; of a password only its hash."""
    items = command.payload["setVariableData"]
    sent = {variables.identity(names.read(item)): item["attributeValue"] for item in items}
    for result in command.answer.get("setVariableResult", []):
        name, status = names.read(result), result["attributeStatus"]
        if _is(name, PASSWORD):
            if password := _password(command):
                keys.answered(command.charger_id, password, status)
        elif status in STORED and (value := sent.get(variables.identity(name))) is not None:
            waits = boots.is_awaited(command, status)
            variables.accept(command.charger_id, name, value, waits, command.action)
            _follow_profile(command.charger_id, name, value)
        variables.forget(command.charger_id, _unknown(name, status), "SetVariablesResponse")


def _follow_profile(charger: int, name: VariableName, value: str) -> None:
    """Let `charger` (primary key) connect with a higher security profile that an accepted value leads to (A05)."""
    if _is(name, PROFILE) and value.isdecimal():
        network.expect(charger, int(value))
    elif _is(name, network.PRIORITY):
        network.expect_first(charger, value)


def not_set(command: Command) -> None:
    """Forget a password that was refused or never sent; keep one without an answer, because it may be used."""
    refused = command.outcome == CALL_ERROR or command.sent_at is None
    if refused and (password := _password(command)):
        keys.answered(command.charger_id, password, "")
