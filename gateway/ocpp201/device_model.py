"""Handle the reports of OCPP 2.0.1 about the variables of a charger (B07, B08)."""

from typing import Any

from chargers.services import variables
from commands.services import reports
from commands.services.base_reports import ACTION, variables_of
from core.ocpp.calls import Call
from core.ocpp.schemas import JSON
from gateway.ocpp201 import parts

FULL = "FullInventory"


def notify_report(calls: list[Call]) -> list[dict[str, Any]]:
    """Store each part of a report at once, however it was requested. Delete the variables that a full one lacks."""
    current, new = parts.store(calls, _part)
    variables.report_all([(call.charger, variables_of(_items(call))) for call in current], ACTION)
    for report in reports.assemble(new, "GetBaseReport", "GetReport"):
        if report.command.payload.get("reportBase") == FULL:
            names = [row.name for row in variables_of(report.items)]
            variables.forget_others(report.command.charger_id, names, ACTION)
    return [{} for _ in calls]


def _part(call: Call) -> reports.Part:
    sent = call.payload
    return reports.Part(call, sent["requestId"], not sent.get("tbc", False), _items(call), sent.get("seqNo"))


def _items(call: Call) -> list[JSON]:
    items: list[JSON] = call.payload.get("reportData", [])
    return items
