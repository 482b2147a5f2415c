"""Handlers that OCPP versions share, because their messages have the same members."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson
from django.conf import settings

from chargers.services import notifications
from commands.services import progress
from core.db.guard import logs_failure
from core.ocpp.calls import Call
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import now_on_the_wire, parse_or
from gateway import vendors

Handler = Callable[[list[Call]], list[dict[str, Any]]]


class Lookup(NamedTuple):
    """What a message needs from another server before its handler runs, see `gateway.lookups`.

    `request(call, charger_id)` may wait for the network. It gets a call for whose payload `is_needed` is true.
    """

    is_needed: Callable[[dict[str, Any]], bool]
    request: Callable[[Call, str], Any]


def registration(status: str) -> dict[str, Any]:
    """Return the answer for the registration `status`. `interval` is in seconds: between heartbeats if accepted,
    otherwise until the next BootNotification."""
    accepted = status == "Accepted"
    interval = settings.OCPP_HEARTBEAT_INTERVAL if accepted else settings.OCPP_BOOT_RETRY_INTERVAL
    return {"currentTime": now_on_the_wire(), "interval": interval, "status": status}


def heartbeat(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer with the time (OCPP 1.6 §4.6, 2.0.1 G02). `last_seen` is written with every batch."""
    return [{"currentTime": now_on_the_wire()} for _ in calls]


def transfer_status(column: str, *commands: str) -> Handler:
    """Return the handler of the notifications of one kind of transfer, which one of `commands` has requested."""

    def handle(calls: list[Call]) -> list[dict[str, Any]]:
        reports = [
            notifications.TransferReport(c.charger, c.payload["status"], c.received_at, c.payload.get("requestId"))
            for c in calls
        ]
        notifications.record_transfer_status(column, reports)
        _append(commands, reports)
        return [{} for _ in calls]

    handle.__qualname__ = f"status_of_{commands[0]}"
    return handle


@logs_failure
def _append(commands: Sequence[str], reports: list[notifications.TransferReport]) -> None:
    progress.append(commands, reports)


def security_event_notification(calls: list[Call]) -> list[dict[str, Any]]:
    """Store security events (security whitepaper §5.15, OCPP 2.0.1 A04)."""
    notifications.record_security_events(
        [
            notifications.ReportedEvent(
                call,
                type=call.payload["type"],
                timestamp=parse_or(call.payload["timestamp"], call.received_at),
                raw_timestamp=call.payload["timestamp"][:64],
                tech_info=without_secrets(call.payload.get("techInfo", "")),
            )
            for call in calls
        ]
    )
    return [{} for _ in calls]


def data_transfer(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer by the function that is registered in `gateway.vendors`, else `UnknownVendorId`.

    OCPP 1.6 §4.3, 2.0.1 P02. In 2.0.1 the data is any JSON; the function gets its text, unless it is a text itself.
    """
    messages = [
        notifications.VendorMessage(
            call, call.payload["vendorId"], call.payload.get("messageId", ""), _as_text(call.payload.get("data", ""))
        )
        for call in calls
    ]
    answers = notifications.answer_data_transfers(messages, vendors.answer)
    return [{"status": status} | ({"data": data} if data else {}) for status, data in answers]


def _as_text(data: Any) -> str:
    return data if isinstance(data, str) else orjson.dumps(data).decode()
