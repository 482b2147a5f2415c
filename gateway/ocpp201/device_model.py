"""Handle the reports of OCPP 2.0.1 about the variables of a charger (B07, B08)."""

from typing import Any

from chargers.services import variables
from commands.services import reports
from commands.services.base_reports import ACTION, variables_of
from core.ocpp.calls import Call
from core.ocpp.schemas import JSON

FULL = "FullInventory"
INT32 = 2**31 - 1


def notify_report(calls: list[Call]) -> list[dict[str, Any]]:
    """Store each part of a report at once, however it was requested, and delete the variables that a full one lacks.

    A part without a request id belongs to no report, so that its variables are stored and nothing else. A part that
    is repeated may be older than what is stored, and changes nothing.
    """
    unnumbered = [(call, _items(call)) for call in calls if "requestId" not in call.payload]
    new = reports.store([_part(call) for call in calls if "requestId" in call.payload])
    for call, items in unnumbered + [(part.call, part.items) for part in new]:
        variables.report(call.charger, variables_of(items), ACTION)
    for report in reports.assemble(new):
        if report.command and report.command.payload.get("reportBase") == FULL:
            variables.forget_others(report.charger, [row.name for row in variables_of(report.items)], ACTION)
    return [{} for _ in calls]


def _part(call: Call) -> reports.Part:
    sent, number = call.payload, call.payload.get("seqNo")
    is_usable = number is not None and 0 <= number <= INT32
    is_last = not sent.get("tbc", False)
    return reports.Part(call, sent["requestId"], is_last, _items(call), number if is_usable else None)


def _items(call: Call) -> list[JSON]:
    items: list[JSON] = call.payload.get("reportData", [])
    return items
