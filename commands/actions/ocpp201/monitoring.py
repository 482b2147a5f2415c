"""Commands about monitors: GetMonitoringReport, SetMonitoringBase, SetVariableMonitoring and others (N02 to N06)."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from chargers.models import Charger, Monitor
from chargers.models.monitors import CUSTOM, HARDWIRED, PRECONFIGURED
from chargers.models.variables import READ_ONLY
from chargers.services import monitors, variables
from chargers.services.monitors import ReportedMonitor
from chargers.services.variables import ReportedVariable, VariableName
from commands.actions import requests
from commands.actions.ocpp201 import names, portions
from commands.models import Command
from core.ocpp import schemas
from core.ocpp.schemas import JSON

COMPONENT = "MonitoringCtrlr"
BASE, LEVEL = VariableName("ActiveMonitoringBase", COMPONENT), VariableName("ActiveMonitoringLevel", COMPONENT)
SEVERITIES = range(10)
# The sources whose monitors a charger removes or deactivates for a base (N03.FR.04, N03.FR.05).
REMOVED = {"FactoryDefault": (CUSTOM,), "HardWiredOnly": (CUSTOM, PRECONFIGURED)}
# The types of monitors for a criterion (N02.FR.12 to N02.FR.14).
TYPES = {
    "ThresholdMonitoring": ("UpperThreshold", "LowerThreshold"),
    "DeltaMonitoring": ("Delta",),
    "PeriodicMonitoring": ("Periodic", "PeriodicClockAligned"),
}
# Simulated replies are the same for every request, so they name no variable.
NOTHING_SET = {
    "setMonitoringResult": [
        {
            "status": "Rejected",
            "type": "Delta",
            "severity": 9,
            "component": {"name": "-"},
            "variable": {"name": "-"},
        }
    ]
}
NOTHING_CLEARED = {"clearMonitoringResult": [{"status": "Rejected", "id": 0}]}


# --- the base and the level ------------------------------------------------------------------


def base_set(command: Command) -> None:
    """Delete the monitors that the base removes, and store it as the variable that shows it."""
    if command.status == "Accepted":
        base = command.payload["monitoringBase"]
        monitors.forget_of(command.charger_id, REMOVED.get(base, ()))
        _store(command, BASE, base)


def check_level(payload: JSON, charger: Charger) -> tuple[()]:
    _check_severity(payload["severity"], "severity")
    return ()


def level_set(command: Command) -> None:
    if command.status == "Accepted":
        _store(command, LEVEL, str(command.payload["severity"]))


def _store(command: Command, name: VariableName, value: str) -> None:
    reported = ReportedVariable(name, value, READ_ONLY)
    variables.report(command.charger_id, [reported], f"{command.action}Response")


def _check_severity(severity: int, field: str) -> None:
    if severity not in SEVERITIES:
        raise schemas.Violation(field, "A severity is a number from 0, the most severe, to 9.", "")


# --- SetVariableMonitoring -------------------------------------------------------------------


def check_set(payload: JSON, charger: Charger) -> Iterator[str]:
    """Refuse what every charger has to refuse; warn of ids that name no such monitor, as far as they are known."""
    seen = set()
    for item in payload["setMonitoringData"]:
        _check_severity(item["severity"], "setMonitoringData.severity")
        if item["type"] == "Delta" and item["value"] < 0:  # N04.FR.14
            raise schemas.Violation("setMonitoringData.value", "A difference cannot be negative.", "")
        for key in (_key(item), item.get("id")):
            if key in seen:  # N04.FR.10
                message = f"{names.label(names.read(item))} is named twice with the same type and severity, or id."
                raise schemas.Violation("setMonitoringData", message, "")
        seen |= {_key(item), item.get("id")} - {None}
    yield from _unchangeable(payload["setMonitoringData"], charger)


def _unchangeable(items: Iterable[JSON], charger: Charger) -> Iterator[str]:
    """Yield a warning for each id of a monitor that the charger must not replace (N04.FR.16, N04.FR.18)."""
    wanted = {item["id"]: item for item in items if "id" in item}
    for known in Monitor.objects.filter(charger=charger, monitor_id__in=wanted):
        if known.source == HARDWIRED:
            yield f"Monitor {known.monitor_id} is hardwired and cannot be changed."
        elif monitors.identity(known) != monitors.identity(names.read(wanted[known.monitor_id])):
            yield f"Monitor {known.monitor_id} is one of {known}; it cannot be moved to another variable."


def portions_of_set(payload: JSON, charger: Charger) -> list[JSON]:
    return portions.of("SetVariableMonitoring", payload, "setMonitoringData", charger, COMPONENT)


def were_set(command: Command) -> None:
    """Store the monitors that the charger accepted, with the ids that it gave them (N04.FR.11, N04.FR.15)."""
    sent = {_key(item): item for item in command.payload["setMonitoringData"]}
    accepted = []
    for result in command.answer.get("setMonitoringResult", []):
        item = sent.get(_key(result))
        if result["status"] == "Accepted" and item and (monitor_id := result.get("id", item.get("id"))) is not None:
            accepted.append(_accepted(item, monitor_id))
    monitors.report([(command.charger_id, accepted)], {command.charger_id: datetime.now(UTC)})


def _accepted(item: JSON, monitor_id: int) -> ReportedMonitor:
    return ReportedMonitor(
        names.read(item),
        monitor_id,
        type=item["type"],
        value=item["value"],
        severity=item["severity"],
        transaction=item.get("transaction", False),
        source=CUSTOM,
    )


def _key(item: JSON) -> tuple[object, ...]:
    """Return what an item of the request and its result have in common."""
    return *monitors.identity(names.read(item)), item["type"], item["severity"]


# --- ClearVariableMonitoring -----------------------------------------------------------------


def complete_clear(payload: JSON, charger: Charger) -> None:
    """Name each monitor once."""
    if isinstance(payload.get("id"), list) and all(isinstance(number, int) for number in payload["id"]):
        payload["id"] = list(dict.fromkeys(payload["id"]))


def portions_of_clear(payload: JSON, charger: Charger) -> list[JSON]:
    return portions.of("ClearVariableMonitoring", payload, "id", charger, COMPONENT)


def were_cleared(command: Command) -> None:
    """Delete the monitors that the charger has removed or does not have."""
    results = command.answer.get("clearMonitoringResult", [])
    gone = [result["id"] for result in results if result["status"] in ("Accepted", "NotFound")]
    monitors.forget(command.charger_id, gone)


# --- GetMonitoringReport ---------------------------------------------------------------------


def portions_of_report(payload: JSON, charger: Charger) -> list[JSON]:
    """Each portion is a request of its own, so the others get their own ids at submission (N02.FR.07)."""
    unlike = frozenset({requests.ID})
    return portions.of("GetReport", payload, "componentVariable", charger, unlike=unlike)


def report_answered(command: Command) -> None:
    if command.status == "EmptyResultSet":
        reported(command, [])


def reported(command: Command, monitor_ids: Iterable[int]) -> None:
    """Delete the monitors that the whole report of `command` should have, but has not.

    A report about some components or variables alone says nothing of others, so nothing is deleted after it.
    """
    if command.payload.get("componentVariable") or command.sent_at is None:
        return
    criteria = command.payload.get("monitoringCriteria")
    types = None if criteria is None else [kind for criterion in criteria for kind in TYPES[criterion]]
    monitors.forget_unreported(command.charger_id, monitor_ids, command.sent_at, types)
