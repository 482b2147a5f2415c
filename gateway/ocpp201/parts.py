"""The parts of reports in messages of OCPP 2.0.1, each of which changes something only once."""

from collections.abc import Callable
from datetime import datetime

from commands.services import reports
from core.ocpp.calls import Call


def store(calls: list[Call], part_of: Callable[[Call], reports.Part]) -> tuple[list[Call], list[reports.Part]]:
    """Store the parts in `calls`. Return the calls whose content counts, and the parts that were not stored before.

    A message without a request id belongs to no report, and its content counts each time. A part that is repeated may
    be older than what is stored, so its content counts once.
    """
    unnumbered = [call for call in calls if "requestId" not in call.payload]
    new = reports.store([part_of(call) for call in calls if "requestId" in call.payload])
    return [*unnumbered, *(part.call for part in new)], new


def times(calls: list[Call]) -> dict[int, datetime]:
    """Return {charger: when it was received} of the messages in `calls`."""
    return {call.charger: call.received_at for call in calls}
