"""How the effects of commands are seen in the records of a charger, in all OCPP versions (decision 0032).

Each function returns a `Look`. Its sentences are also in `core/sentences.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chargers.models import Connector, Message
from chargers.services import values, variables
from commands.actions.base import Confirmation, Delivery, FollowUp, Look
from commands.models import (
    ANSWERED,
    CALL_ERROR,
    CONFIRMED,
    NOT_APPLICABLE,
    NOT_SEEN,
    PENDING,
    CertificateRequest,
    Command,
)
from core.ocpp import numerals
from core.ocpp.redaction import HIDDEN
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import parse
from transactions.models import Reading, Reservation, Transaction

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
SCHEDULED, REBOOT_REQUIRED = "Scheduled", "RebootRequired"
UNAVAILABLE, INOPERATIVE, RESERVED = "Unavailable", "Inoperative", "Reserved"
# Codes of a CALLERROR by a charger that does not have an action.
NOT_THERE = ("NotImplemented", "NotSupported")
CONNECTION_TIMEOUT_S = 300  # of a charger that has not reported its own
MAX_CONTRADICTIONS = 2  # after which nothing else is expected

Within = Callable[[Command], float]


def within(seconds: float) -> Within:
    return lambda command: seconds


def unless_scheduled(seconds: float) -> Within:
    """Return `seconds`, or a day for a command that waits for the end of a session."""
    return lambda command: DAY_S if command.status == SCHEDULED else seconds


def is_since(moment: datetime | None, command: Command) -> bool:
    """Whether `moment` is after `command` was sent."""
    return moment is not None and command.sent_at is not None and moment >= command.sent_at


# --- sessions --------------------------------------------------------------------------------


def until_plugged_in(variable: str, component: str = "") -> Within:
    """Return the seconds that the driver has to plug in, as the charger reports them in `variable`, and a minute."""

    def seconds(command: Command) -> float:
        known = variables.numbers([command.charger_id], variable, component=component)
        return min(next(iter(known.values()), CONNECTION_TIMEOUT_S), DAY_S) + MINUTE_S

    return seconds


def began(command: Command) -> Look:
    session = command.transaction
    if session is None:
        return Look(PENDING, "A session was expected to begin.")
    place = session.evse_id if session.connector_id is None else session.connector_id
    if place is None:
        return Look(CONFIRMED, f"Session {session.pk} began.")
    return Look(CONFIRMED, f"Session {session.pk} began on connector {place}.")


def ended(command: Command) -> Look:
    """Look for the end of the session that `noted` names."""
    session = command.noted_transaction
    if session is None:
        return Look(NOT_APPLICABLE, "The session is not known here, so its end can't be seen.")
    if session.stop_received_at:
        return Look(CONFIRMED, f"Session {session.pk} has ended.")
    state = session.charging_state
    former = (command.noted or {}).get("charging_state")
    if state in ("EVConnected", "Idle", "SuspendedEVSE") and state != former:
        return Look(CONFIRMED, f"Session {session.pk} no longer charges: {state}.")
    return Look(PENDING, f"Session {session.pk} was expected to end.")


# --- the charger and its connectors ------------------------------------------------------------


def booted(command: Command) -> Look:
    if is_since(command.charger.last_boot_at, command):
        return Look(CONFIRMED, "The charger has booted.")
    return Look(PENDING, "The charger was expected to boot.")


def unlocked(command: Command) -> Look:
    return Look(CONFIRMED, "The charger answered Unlocked.")


UNLOCK = Confirmation(
    unlocked, within(MINUTE_S), excluded=lambda command: None if command.status == "Unlocked" else ""
)


def available(connectors: Iterable[Connector], wanted: str) -> Look:
    """Look whether the `connectors` are Unavailable, or no longer, as `wanted` (Inoperative or Operative) says."""
    known = list(connectors)
    known = [connector for connector in known if connector.connector_id] or known
    state = UNAVAILABLE if wanted == INOPERATIVE else "available"
    others = [one for one in known if (one.status == UNAVAILABLE) != (wanted == INOPERATIVE)]
    if not known:
        return Look(PENDING, f"A connector was expected to become {state}.")
    if others:
        number, status = others[0].connector_id, others[0].status
        return Look(PENDING, f"Connector {number} was expected to become {state}; it is {status}.")
    return Look(CONFIRMED, f"Its connectors are {state}.")


# --- settings ----------------------------------------------------------------------------------

SET_AGAIN = Look(NOT_APPLICABLE, "A later command has set it again, so its effect can't be seen.")


def within_of_setting(command: Command) -> float:
    """Return a day for a setting that takes effect at the next boot."""
    return DAY_S if waits_for_boot(command) else 5 * MINUTE_S


def waits_for_boot(command: Command) -> bool:
    results = command.answer.get("setVariableResult", [])
    return REBOOT_REQUIRED in (command.status, *(result.get("attributeStatus") for result in results))


def is_read(command: Command, action: str) -> list[Command]:
    """Return the answered read-backs of `command` by `action`, oldest first; after a boot if it waits for one."""
    since = command.charger.last_boot_at if waits_for_boot(command) else None
    answered = [read for read in command.read_backs if read.action == action and read.outcome == ANSWERED]
    return [read for read in answered if since is None or (read.sent_at and read.sent_at >= since)]


def may_read(command: Command) -> bool:
    """Whether what `command` has set is in effect, as far as is known."""
    return not waits_for_boot(command) or is_since(command.charger.last_boot_at, command)


def unreadable(command: Command, action: str) -> Look | None:
    """Return a `Look` for a setting that can't be read back now, None if there may be an answer."""
    if not may_read(command):
        return Look(PENDING, "It takes effect at the next boot, which was expected.")
    errors = [read.error or {} for read in command.read_backs if read.outcome == CALL_ERROR]
    if any(error.get("code") in NOT_THERE for error in errors):
        return Look(NOT_APPLICABLE, f"The charger does not support {action}, so the effect can't be seen.")
    return None


def unanswered(command: Command, action: str) -> Look:
    """Return a `Look` for a setting that was not read back yet, which proves nothing if it was never tried."""
    is_tried = any(read.sent_at for read in command.read_backs)
    at_end = NOT_SEEN if is_tried else NOT_APPLICABLE
    return Look(PENDING, f"It was expected to be read back by {action}.", at_end)


def read_by(command: Command, action: str) -> tuple[list[Command], Look | None]:
    """Return the answered read-backs of `command` by `action`, and a `Look` as long as they tell nothing."""
    answers = is_read(command, action)
    return answers, unreadable(command, action) or (None if answers else unanswered(command, action))


def contradicted(answers: Sequence[Command], detail: str) -> Look:
    """Return a `Look` for `answers` of which the last one shows another state. The charger may need a moment."""
    return Look(NOT_SEEN if len(answers) >= MAX_CONTRADICTIONS else PENDING, detail)


def is_same(read: str, value: str, in_order: bool = True) -> bool:
    """Whether a value that was read is the one that was set; numbers and booleans may be written in other ways.

    Commas separate the items of a list. Without `in_order` neither their order nor their number counts.
    """
    one, other = (_parts(text) for text in (read, value))
    return one == other or (not in_order and set(one) == set(other))


def _parts(text: str) -> list[str | Decimal]:
    return [_plain(part.strip()) for part in text.split(",")]


def _plain(text: str) -> str | Decimal:
    if text.casefold() in values.BOOLEANS:
        return text.casefold()
    number = numerals.read(text) if numerals.DECIMAL.fullmatch(text) else None
    return text if number is None else number


def is_hidden(value: Any) -> bool:
    return isinstance(value, str) and HIDDEN in value


# --- what is delivered later -------------------------------------------------------------------


def delivered(delivery: Delivery) -> Callable[[Command], Look]:
    """Look for the end of a `delivery`."""

    def look(command: Command) -> Look:
        statuses = [step["status"] for step in command.progress]
        if status := next((status for status in statuses if status in delivery.done), None):
            return Look(CONFIRMED, f"The charger reported {status}.")
        if command.completed_at and not statuses:
            return Look(NOT_APPLICABLE, "The charger has nothing to deliver.")
        if command.completed_at and not command.payload.get("retries"):
            return Look(NOT_SEEN, f"The charger reported {statuses[-1]}.")
        if statuses:
            return Look(PENDING, f"The end of the delivery was expected; the charger reported {statuses[-1]}.")
        return Look(PENDING, "The end of the delivery was expected.")

    return look


def updated(delivery: Delivery) -> Callable[[Command], Look]:
    """Look for firmware that the charger reports as installed, or for another version after a boot."""
    reported = delivered(delivery)

    def look(command: Command) -> Look:
        version, former = command.charger.firmware_version, (command.noted or {}).get("firmware_version")
        if version != former and is_since(command.charger.last_boot_at, command):
            return Look(CONFIRMED, f"The charger has booted with the firmware {version}.")
        return reported(command)

    return look


def until(*moments: str | None) -> float:
    """Return the seconds until two hours after the latest of `moments` (as on the wire) that is ahead."""
    now = datetime.now(UTC)
    ahead = [moment for text in moments if (moment := parse(text or "")) and moment > now]
    return min((max(ahead, default=now) - now).total_seconds() + 2 * HOUR_S, 366 * DAY_S)


def note_firmware(command: Command) -> JSON:
    return {"firmware_version": command.charger.firmware_version}


# --- messages on request -----------------------------------------------------------------------

# The message and the column of the charger with the time of the last one.
RECORDED = {
    "BootNotification": "last_boot_at",
    "DiagnosticsStatusNotification": "diagnostics_status_at",
    "FirmwareStatusNotification": "firmware_status_at",
    "SignedFirmwareStatusNotification": "firmware_status_at",
    "LogStatusNotification": "log_status_at",
}


def arrived(message: str, command: Command, connectors: Iterable[Connector]) -> Look:
    """Look for a `message` that the charger sent after `command`; `connectors` are those that it is about.

    A status that has not changed is stored only in the message log, if that is on.
    """
    if _is_recorded(message, command, connectors) or _is_logged(message, command):
        return Look(CONFIRMED, f"The charger has sent {message}.")
    if message == "Heartbeat" and _is_after_answer(command.charger.last_seen, command):
        return Look(CONFIRMED, "The charger has sent a message.")
    at_end = NOT_APPLICABLE if message == "StatusNotification" else NOT_SEEN
    return Look(PENDING, f"A {message} was expected.", at_end=at_end)


def _is_after_answer(moment: datetime | None, command: Command) -> bool:
    return moment is not None and command.finished_at is not None and moment > command.finished_at


def _is_recorded(message: str, command: Command, connectors: Iterable[Connector]) -> bool:
    if column := RECORDED.get(message):
        return is_since(getattr(command.charger, column), command)
    if message == "StatusNotification":
        return any(is_since(connector.received_at, command) for connector in connectors)
    if message in ("MeterValues", "TransactionEvent"):
        ongoing = Transaction.objects.ongoing().filter(charger=command.charger_id)
        loose = Reading.objects.filter(charger=command.charger_id, transaction=None, received_at__gte=command.sent_at)
        is_read = ongoing.filter(read_until__gte=command.sent_at).exists()
        return is_read or loose.filter(timestamp__gte=command.sent_at).exists()
    if message == "SignCertificate":
        requests = CertificateRequest.objects.filter(charger=command.charger_id)
        return requests.filter(received_at__gte=command.sent_at).exists()
    return False


def _is_logged(message: str, command: Command) -> bool:
    logged = Message.objects.filter(charger=command.charger_id, at__gte=command.sent_at)
    return logged.filter(action=message, direction="in", kind="call").exists()


# --- local lists and reservations --------------------------------------------------------------


READ_LIST = "GetLocalListVersion"


def local_list(member: str) -> Confirmation:
    """Return how a SendLocalList is seen; `member` names its version on the wire."""

    def look(command: Command) -> Look:
        return list_version(command, command.payload[member], member)

    return Confirmation(look, within(5 * MINUTE_S), lambda command: FollowUp(READ_LIST, {}))


def list_version(command: Command, sent: int, member: str) -> Look:
    """Look whether the list of the charger has the version that was `sent`, or a later one; 0 if it is empty."""
    answers, look = read_by(command, READ_LIST)
    if look:
        return look
    version = answers[-1].answer.get(member, 0)
    is_empty = command.payload["updateType"] == "Full" and not command.payload.get("localAuthorizationList")
    if version >= sent or (is_empty and version == 0):
        return Look(CONFIRMED, f"The charger reports version {version} of its list.")
    return contradicted(answers, f"Version {sent} was sent, but the charger reports version {version} of its list.")


def reservation(member: str, column: str) -> Confirmation:
    """Return how a ReserveNow is seen; `member` names its place on the wire, `column` that of a connector."""

    def look(command: Command) -> Look:
        place = command.payload[member]
        return reserved(one for one in command.charger.connectors.all() if getattr(one, column) == place)

    def of_no_place(command: Command) -> str | None:
        if command.status != "Accepted":
            return ""
        uncertain = "The reservation is of no certain connector, so no status shows it."
        return None if command.payload.get(member) else uncertain

    return Confirmation(look, within(2 * MINUTE_S), excluded=of_no_place)


def reserved(connectors: Iterable[Connector]) -> Look:
    if found := next((connector for connector in connectors if connector.status == RESERVED), None):
        return Look(CONFIRMED, f"Connector {found.connector_id} is Reserved.")
    return Look(PENDING, "A connector was expected to become Reserved.")


def note_reservation(command: Command) -> JSON | None:
    known = Reservation.objects.filter(pk=command.payload["reservationId"], charger=command.charger_id).first()
    return {"evse_id": known.evse_id} if known and known.evse_id else None


def released(command: Command) -> Look:
    """Look whether no connector of the reservation that `noted` describes is Reserved any more."""
    if not command.noted:
        return Look(NOT_APPLICABLE, "The reservation is of no certain connector, so no status shows it.")
    connectors = [c for c in command.charger.connectors.all() if c.evse_id == command.noted["evse_id"]]
    if found := next((connector for connector in connectors if connector.status == RESERVED), None):
        return Look(PENDING, f"Connector {found.connector_id} is still Reserved.")
    return Look(CONFIRMED, "Its connectors are not Reserved.")


CANCEL_RESERVATION = Confirmation(released, within(2 * MINUTE_S), note=note_reservation)
