"""The content of a TransactionEvent (OCPP 2.0.1 E)."""

from dataclasses import dataclass
from datetime import datetime
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

    `time` is the charger's or, if that cannot be read, of receipt; `raw_time` is its text as sent. `others` are the
    columns of `TransactionEvent` that most events do not have, as far as this one has them. An event that only brings
    readings has none.
    """

    call: Call
    reference: str
    seq_no: int
    event_type: str
    time: datetime
    raw_time: str
    trigger_reason: str
    others: dict[str, Any]
    values: list[MeterReading]

    @property
    def has_clock_skew(self) -> bool:
        return "clock_skew" in self.others

    @property
    def charging_state(self) -> str:
        """The state that it reports, "" without one."""
        state: str = self.others.get("charging_state", "")
        return state

    @property
    def evse_id(self) -> int | None:
        return self.others.get("evse_id")

    @property
    def connector_id(self) -> int | None:
        return self.others.get("connector_id")

    @property
    def id_token(self) -> str | None:
        """The token that was presented, None without one."""
        return self.others.get("id_token")

    @property
    def id_token_type(self) -> str:
        kind: str = self.others.get("id_token_type", "")
        return kind

    @property
    def reservation_id(self) -> int | None:
        return self.others.get("reservation_id")

    @property
    def remote_start_id(self) -> int | None:
        return self.others.get("remote_start_id")

    @property
    def presented(self) -> Presented | None:
        return None if self.id_token is None else Presented(self.call, self.id_token, self.id_token_type)

    @property
    def stops(self) -> bool:
        """Whether its token ends the transaction."""
        return self.event_type == ENDED or self.trigger_reason in STOPS

    @property
    def digest(self) -> int:
        """The digest by which a repetition differs from an event of a charger that does not count."""
        sent = [self.call.payload.get(member) for member in IDENTIFYING]
        return crc32(orjson.dumps(sent, default=str)) - 2**31
