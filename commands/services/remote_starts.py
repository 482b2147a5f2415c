"""Link remote starts to the transactions that they began.

In OCPP 1.6 it is the one that the charger starts next with the same tag, in 2.0.1 the one that names the start.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from django.db.models import QuerySet

from chargers.services import variables
from commands import sql
from commands.actions.ocpp16 import charging
from commands.actions.ocpp201 import charging as charging201
from commands.models import Command
from commands.services.delivery import may_have_been_accepted
from core.db import bulk_sql
from core.db.guard import logs_failure
from transactions.models import Transaction
from transactions.services.starts import Start

# Time that the driver has to plug in after a remote start: the ConnectionTimeOut of the charger, or the default.
DEFAULT_CONNECTION_TIMEOUT_S, MAX_CONNECTION_TIMEOUT_S = 300, 86_400
PLUG_IN_SLACK = timedelta(minutes=1)
MAX_CLOCK_DIFFERENCE = timedelta(minutes=10)
StartKey = tuple[int, int | None]  # charger (primary key), id of the remote start


def link_by_id(started: Iterable[tuple[int, int, int]]) -> None:
    """Link remote starts to their transactions, for which the profiles hold that they brought (F01.FR.25, K05).

    `started` has (charger, id of the remote start, transaction).
    """
    transactions: dict[StartKey, int] = {(charger, number): pk for charger, number, pk in started}
    for command in _unlinked(transactions) if transactions else ():
        if transaction_id := transactions.get((command.charger_id, command.request_id)):
            Command.objects.filter(pk=command.pk).update(transaction=transaction_id)
            if "chargingProfile" in command.payload:
                charging201.install_with_start(command, Transaction.objects.get(pk=transaction_id))


def _unlinked(keys: Iterable[StartKey]) -> QuerySet[Command]:
    """Return the remote starts without a transaction that have one of these `keys`, and few others."""
    chargers, ids = ({key[n] for key in keys} for n in (0, 1))
    starts = Command.objects.filter(action="RequestStartTransaction", charger__in=chargers, request_id__in=ids)
    return starts.filter(transaction=None).select_related("charger").order_by("pk")


def link(starts: list[Start], transaction_ids: list[int]) -> None:
    """Link the remote starts that led to `starts` to their transactions (primary keys in `transaction_ids`)."""
    recent_s = MAX_CONNECTION_TIMEOUT_S + PLUG_IN_SLACK.total_seconds()
    chargers = {start.call.charger for start in starts}
    if rows := bulk_sql.query(sql.REMOTE_STARTS, [bulk_sql.array(chargers), recent_s]):
        _link_each(starts, transaction_ids, [pk for (pk,) in rows])


@logs_failure
def _link_each(starts: list[Start], transaction_ids: list[int], remote_starts: list[int]) -> None:
    waiting = defaultdict(list)
    for command in Command.objects.filter(pk__in=remote_starts).select_related("charger").order_by("pk"):
        waiting[command.charger_id].append(command)
    timeouts = _connection_timeouts(waiting)
    for start, transaction_id in zip(starts, transaction_ids, strict=True):
        charger = start.call.charger
        seconds = timeouts.get(charger, DEFAULT_CONNECTION_TIMEOUT_S)
        matches = [command for command in waiting[charger] if _led_to(command, start, seconds)]
        found = next((c for c in matches if "connectorId" in c.payload), matches[0] if matches else None)
        if found and not Command.objects.filter(transaction=transaction_id).exists():
            waiting[charger].remove(found)
            _link(found, start, transaction_id)


def _connection_timeouts(chargers: Iterable[int]) -> dict[int, int]:
    timeouts = variables.numbers(chargers, "ConnectionTimeOut")
    return {charger: min(seconds, MAX_CONNECTION_TIMEOUT_S) for (charger, _), seconds in timeouts.items()}


def _led_to(command: Command, start: Start, seconds: int) -> bool:
    """Return whether `command` led to `start`: same tag and connector, at a plausible time.

    A session that began before the command was sent is an offline session, and not its result.
    """
    submitted, received_at, sent_at = command.payload, start.call.received_at, command.sent_at
    if sent_at is None:
        return False
    began = received_at if start.has_clock_skew else start.time
    return (
        may_have_been_accepted(command)
        and submitted["idTag"].upper() == start.id_tag.upper()
        and submitted.get("connectorId", start.connector_id) == start.connector_id
        and received_at <= sent_at + timedelta(seconds=seconds) + PLUG_IN_SLACK
        and began >= sent_at - MAX_CLOCK_DIFFERENCE
    )


def _link(command: Command, start: Start, transaction_id: int) -> None:
    Command.objects.filter(pk=command.pk).update(transaction=transaction_id)
    if profile := command.payload.get("chargingProfile"):
        charging.install(command.charger, start.connector_id, profile, transaction_id)
