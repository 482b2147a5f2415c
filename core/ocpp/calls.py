"""A CALL of a known charger, from its receipt to its answer."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from core.ocpp import frames
from core.ocpp.versions import OCPP16, Version

CallKey = tuple[int, str]  # charger and message id, which identify a CALL in a batch


@dataclass(slots=True)
class Call:
    """A CALL of a known charger. `charger` is its primary key, `socket` the time when its socket was opened. `answer`
    is the text of the answer, set when the call has been processed."""

    charger: int
    message_id: str
    action: str
    payload: dict[str, Any] = field(repr=False)  # hidden from logs, because it may hold secrets
    received_at: datetime
    socket: datetime | None = None
    answer: str = field(default="", repr=False)
    # {(field, kind): the value as sent} of departures from OCPP, and {member: text} of numbers that were rounded.
    findings: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)
    as_sent: dict[str, str] = field(default_factory=dict, repr=False)
    payload_as_sent: dict[str, Any] | None = field(default=None, repr=False)  # None if `payload` is not repaired
    version: Version = field(default=OCPP16, repr=False)
    rows: int = 0  # the number of rows of meter values that were written for it
    is_within_rate: bool | None = None  # set once by `budgets.within_rate`
    fetched: Any = field(default=None, repr=False)  # what another server has said, see `gateway.lookups`
    serials: frozenset[str] = frozenset()  # serial numbers in the client certificate that admitted its socket
    closes: str = ""  # the reason for which the socket is closed after the answer

    @property
    def key(self) -> CallKey:
        return self.charger, self.message_id

    @property
    def digest(self) -> str:
        """Compute the digest of what was sent. By it a repetition differs from another CALL with the same id."""
        return frames.digest(self.action, self.payload if self.payload_as_sent is None else self.payload_as_sent)

    def find(self, path: str, kind: str, value: Any) -> None:
        """Record that the member at `path` ("meterValue.sampledValue.unit") departs from OCPP. `kind` is one of
        `models.findings.KINDS`. A message counts once for each pair, also when its batch is retried."""
        self.findings.setdefault((path, kind), value)


class Received(Protocol):
    """The decoded content of a CALL; `call` is the one in which it was received."""

    @property
    def call(self) -> Call: ...
