"""Commands with a `requestId`, by which later notifications name them. All OCPP versions share these functions."""

from chargers.models import Charger
from commands.actions.base import Delivery
from commands.models import Command, ReportPart, next_request_id
from core.ocpp.schemas import JSON

ID = "requestId"
COMPLETE = "Complete"  # the status of the last part of a report
REPORT = Delivery(frozenset({COMPLETE}), frozenset())


def complete(payload: JSON, charger: Charger) -> None:
    """Give a request without an id the next free one."""
    if ID not in payload:
        payload[ID] = next_request_id()


def submitted(command: Command) -> None:
    """Record the id, and forget the parts of a former report with it, if the client has used it before."""
    request_id = command.payload[ID]
    Command.objects.filter(pk=command.pk).update(request_id=request_id)
    ReportPart.objects.filter(charger=command.charger, request_id=request_id).delete()


def for_retry(payload: JSON) -> JSON:
    """Drop the id, because each command needs its own."""
    return {name: value for name, value in payload.items() if name != ID}
