"""The content of a TransactionEvent (OCPP 2.0.1 E)."""

from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any
from zlib import crc32

import orjson

from core.ocpp.calls import Call
from transactions.services.id_tokens import Presented
from transactions.services.readings import MeterReading

STARTED, UPDATED, ENDED = "Started", "Updated", "Ended"
STOPS = ("StopAuthorized", "Deauthorized")  # trigger reasons
UNNUMBERED = -1  # in place of a number that was not sent
# The members by which an event differs from another one with its number. An event that is sent again may now be
# `offline`. A token may be secret, and a digest of 32 bits would tell a short one.
IDENTIFYING = "eventType", "timestamp", "triggerReason", "transactionInfo", "evse", "meterValue"


@dataclass(slots=True)
class Event:
    """One event of the transaction that the charger calls `reference`.

    `time` is the charger's or, if that cannot be read, of receipt; `raw_time` is its text as sent. `id_token` is None
    where no token was presented. `details` are the other members that were sent, as JSON.
    """

    call: Call
    reference: str
    seq_no: int
    event_type: str
    time: datetime
    raw_time: str
    has_clock_skew: bool
    trigger_reason: str = ""
    is_offline: bool = False
    charging_state: str = ""
    stopped_reason: str = ""
    evse_id: int | None = None
    connector_id: int | None = None
    id_token: str | None = None
    id_token_type: str = ""
    reservation_id: int | None = None
    remote_start_id: int | None = None
    details: str = ""
    values: list[MeterReading] = field(default_factory=list)

    @property
    def presented(self) -> Presented | None:
        return None if self.id_token is None else Presented(self.call, self.id_token, self.id_token_type)

    @property
    def stops(self) -> bool:
        """Whether its token ends the transaction."""
        return self.event_type == ENDED or self.trigger_reason in STOPS


# The columns of an event that most events do not have, and the attributes of `Event` for them.
OTHERS = {
    "clock_skew": "has_clock_skew",
    "offline": "is_offline",
    "charging_state": "charging_state",
    "stopped_reason": "stopped_reason",
    "evse_id": "evse_id",
    "connector_id": "connector_id",
    "id_token": "id_token",
    "id_token_type": "id_token_type",
    "reservation_id": "reservation_id",
    "remote_start_id": "remote_start_id",
    "details": "details",
}
NO_OTHERS = (False, False, "", "", None, None, None, "", None, None, "")  # their values in an event without them
_others = attrgetter(*OTHERS.values())


def others(event: Event) -> dict[str, Any]:
    """Return {column: value} of OTHERS, as far as `event` has them."""
    values = _others(event)
    if values == NO_OTHERS:
        return {}
    return {name: value for name, value, none in zip(OTHERS, values, NO_OTHERS, strict=True) if value != none}


def digest(event: Event) -> int:
    """Return the digest by which a repetition differs from an event of a charger that does not count."""
    sent = [event.call.payload.get(member) for member in IDENTIFYING]
    return crc32(orjson.dumps(sent, default=str)) - 2**31
