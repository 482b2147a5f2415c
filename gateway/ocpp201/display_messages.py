"""Handle NotifyDisplayMessages of OCPP 2.0.1 (O03, O04)."""

from typing import Any

from commands.actions.ocpp201 import display_messages as commands
from commands.services import display_messages, reports
from commands.services.reports import Part
from core.ocpp.calls import Call
from gateway.ocpp201 import parts


def notify_display_messages(calls: list[Call]) -> list[dict[str, Any]]:
    """Store the messages of each part at once, and delete others when the whole report does not have them."""
    current, new = parts.store(calls, _part)
    shown = [(call.charger, map(commands.shown, call.payload.get("messageInfo", []))) for call in current]
    excess = display_messages.report(shown, parts.times(current))
    for call in current:
        if call.charger in excess:
            call.find("messageInfo", "out_of_range", excess[call.charger])
    for report in reports.assemble(new, "GetDisplayMessages"):
        commands.reported(report.command, [info["id"] for info in report.items])
    return [{} for _ in calls]


def _part(call: Call) -> Part:
    sent = call.payload
    return Part(call, sent["requestId"], not sent.get("tbc", False), sent.get("messageInfo", []))
