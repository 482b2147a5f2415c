"""Names of variables as OCPP 2.0.1 writes them: a component, a variable and the type of an attribute."""

from typing import Any

from chargers.models.variables import ACTUAL, MAX_ENUM_LENGTH, MAX_NAME_LENGTH, MAX_PART_LENGTH
from chargers.services.variables import VariableName
from core.ocpp.schemas import JSON

INT32 = 2**31 - 1


def read(item: JSON, attribute: str | None = None) -> VariableName:
    """Return the name in `item`, which has `component` and `variable`; its attribute is that of `attributeType`."""
    component, variable = item["component"], item["variable"]
    evse = component.get("evse", {})
    return VariableName(
        variable=variable["name"][:MAX_NAME_LENGTH],
        component=component["name"][:MAX_PART_LENGTH],
        component_instance=component.get("instance", "")[:MAX_PART_LENGTH],
        evse_id=_number(evse, "id"),
        connector_id=_number(evse, "connectorId"),
        instance=variable.get("instance", "")[:MAX_PART_LENGTH],
        attribute=(attribute or item.get("attributeType", ACTUAL))[:MAX_ENUM_LENGTH],
    )


def _number(evse: JSON, member: str) -> int | None:
    """Return a number of an EVSE or connector, None if there is none that can be stored."""
    number = evse.get(member)
    return number if number is not None and 0 <= number <= INT32 else None


def write(name: VariableName) -> JSON:
    """Return the members `component` and `variable`, and `attributeType` unless it is Actual, the default."""
    evse: dict[str, Any] = {} if name.evse_id is None else {"id": name.evse_id}
    evse |= {} if name.connector_id is None else {"connectorId": name.connector_id}
    component: dict[str, Any] = {"name": name.component}
    component |= {"instance": name.component_instance} if name.component_instance else {}
    component |= {"evse": evse} if evse else {}
    variable = {"name": name.variable} | ({"instance": name.instance} if name.instance else {})
    attribute = {} if name.attribute == ACTUAL else {"attributeType": name.attribute}
    return {"component": component, "variable": variable} | attribute


def label(name: VariableName) -> str:
    """Return `name` for a sentence, such as "DeviceDataCtrlr.ItemsPerMessage[GetReport]"."""
    return f"{name.component}.{name.variable}" + (f"[{name.instance}]" if name.instance else "")
