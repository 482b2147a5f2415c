"""Look for the effects of commands that chargers have accepted, until they are seen or their time has run out.

See decision 0032. The sweep of the workers calls `look` once a second.
"""

import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from chargers.services import audit, events
from commands import sql
from commands.actions.base import Confirmation, FollowUp, Look, nothing
from commands.actions.table import action_of
from commands.models import (
    ANSWERED,
    CANCELLED,
    CONFIRMED,
    FINISHED,
    NOT_APPLICABLE,
    NOT_SEEN,
    PENDING,
    SILENT,
    Batch,
    BatchItem,
    Command,
)
from commands.services import mailbox
from commands.services.creation import submit_internal
from core.db import bulk_sql, faults
from core.ocpp.schemas import JSON
from transactions.models import Transaction

logger = logging.getLogger(__name__)

MAX_AT_ONCE, MAX_PER_SWEEP = 500, 2000
# An effect is looked for again after an eighth of the time that has passed, so that thousands of commands that wait
# for hours cost little, and one that is seen at once is reported at once.
PART_OF_AGE, MIN_PAUSE, MAX_PAUSE = 8, timedelta(seconds=0.9), timedelta(seconds=30)
EVENTS = {CONFIRMED: "command.confirmed", NOT_SEEN: "command.not_seen"}

# The actions that read back. These commands of the system itself have no effect to look for.
READ_BACKS = frozenset(
    {"GetChargingProfiles", "GetCompositeSchedule", "GetConfiguration", "GetLocalListVersion", "GetVariables"}
)
IS_READ_BACK = Q(requested_by=audit.SYSTEM_ACTOR, action__in=READ_BACKS, follows__isnull=False)
NOT_READ = "Nothing is read back from chargers here (OCPP_READ_BACK_SECONDS), so the effect can't be seen."
READ_TIMEOUT_S = 15.0  # few, because the commands of operators wait for a charger that does not answer
MAX_ANSWERED, MAX_READ_BACKS = 2, 4  # read-backs for one command
PAUSE_AFTER_ANSWER, PAUSE_AFTER_SILENCE = timedelta(seconds=5), timedelta(seconds=60)


def _of(command: Command) -> Confirmation | None:
    return action_of(command.version, command.action).confirmation


def is_read_back(command: Command) -> bool:
    """Whether `command` reads back the effect of the one that it follows."""
    by_system = command.requested_by == audit.SYSTEM_ACTOR and command.action in READ_BACKS
    return by_system and command.follows_id is not None


# --- when a command is finished --------------------------------------------------------------


def begin(command: Command) -> JSON:
    """Return the columns of `command` for sql.FINISH, before the effects of its answer are applied.

    Only an answer of the charger itself that accepts the command makes it pending.
    """
    command.confirmation, command.confirmation_detail, command.noted = NOT_APPLICABLE, "", None
    within_s = None
    how = _of(command)
    if how and command.outcome == ANSWERED and not is_read_back(command):
        try:
            with transaction.atomic():
                excluded = how.excluded(command)
                if excluded is None and how.read_back is not nothing and not settings.OCPP_READ_BACK_SECONDS:
                    excluded = NOT_READ
                if excluded is None:
                    command.noted, within_s = how.note(command), how.within_s(command)
                    command.confirmation = PENDING
                command.confirmation_detail = excluded or ""
        except Exception as error:  # noqa: BLE001  (an answer may hold anything)
            if faults.kind_of(error):
                raise
            logger.exception("The effect of %s (%s) can't be looked for", command, command.task_id)
    noted = None if command.noted is None else bulk_sql.json(command.noted)
    return {
        "confirmation": command.confirmation,
        "confirmation_detail": command.confirmation_detail,
        "noted": noted,
        "within_s": within_s,
    }


# --- once a second, in one of the workers ----------------------------------------------------


def look() -> int:
    """Look for the effects that are due; return how many commands were decided."""
    decided = looked = 0
    while looked < MAX_PER_SWEEP and (commands := _due()):
        now = bulk_sql.clock()
        _load(commands)
        decided += _store({command: _decided(command, _look(command), now) for command in commands}, now)
        looked += len(commands)
        if len(commands) < MAX_AT_ONCE:
            break
    return decided


def _due() -> list[Command]:
    """Return the commands that are due; also those far ahead, after the clock of the database was set back."""
    now = bulk_sql.clock()
    is_due = Q(look_at__lte=now) | Q(look_at__gt=now + 2 * MAX_PAUSE)
    found = Command.objects.filter(is_due, confirmation=PENDING).select_related("charger", "transaction")
    shown = found.defer("report", "late_response", "simulated_response").prefetch_related("charger__connectors")
    return list(shown.order_by("look_at")[:MAX_AT_ONCE])


def _load(commands: Sequence[Command]) -> None:
    """Set what `Confirmation.look` reads of each command, by a few queries for all."""
    read_backs = _read_backs([command.pk for command in commands])
    named = {command.pk: pk for command in commands if (pk := _named_transaction(command.noted))}
    transactions = Transaction.objects.in_bulk(named.values()) if named else {}
    newest = _newest(commands)
    for command in commands:
        command.read_backs = read_backs.get(command.pk, [])
        command.noted_transaction = transactions.get(named.get(command.pk))
        command.set_again = frozenset(
            item for item in _sets(command) if newest.get((command.charger_id, command.action, item), 0) > command.pk
        )


def _named_transaction(noted: Any) -> int | None:
    return noted.get("transaction") if isinstance(noted, dict) else None


def _newest(commands: Sequence[Command]) -> dict[tuple[int, str, Hashable], int]:
    """Return {(charger, action, what is set): primary key of the last command that has set it}.

    These are what `commands` and the later commands of their chargers have set.
    """
    setting = [command for command in commands if (how := _of(command)) and how.sets]
    if not setting:
        return {}
    chargers, actions = {command.charger_id for command in setting}, {command.action for command in setting}
    found = Command.objects.filter(charger__in=chargers, action__in=actions, state=FINISHED, outcome=ANSWERED)
    later = found.filter(pk__gte=min(command.pk for command in setting))
    shown = later.only("charger", "ocpp_version", "action", "payload", "response").order_by("pk")
    return {(row.charger_id, row.action, item): row.pk for row in shown for item in _sets(row)}


def _sets(command: Command) -> frozenset[Hashable]:
    """Return what `command` has set; nothing if that cannot be understood, which is logged."""
    try:
        how = _of(command)
        return frozenset(how.sets(command)) if how and how.sets else frozenset()
    except Exception as error:  # noqa: BLE001  (records may hold anything)
        if faults.kind_of(error):
            raise
        logger.exception("What %s (%s) has set can't be read", command, command.task_id)
        return frozenset()


def _read_backs(commands: Sequence[int]) -> dict[int, list[Command]]:
    """Return {primary key: its read-backs, oldest first}. The portions of one follow it, and count as well."""
    own = Command.objects.filter(IS_READ_BACK).order_by("pk")
    found: dict[int, list[Command]] = defaultdict(list)
    causes = {pk: pk for pk in commands}
    while causes:
        rows = [(causes[row.follows_id or 0], row) for row in own.filter(follows__in=list(causes))]
        for cause, row in rows:
            found[cause].append(row)
        causes = {row.pk: cause for cause, row in rows if row.action == "GetVariables"}
    return found


def _look(command: Command) -> Look:
    """Look for the effect of `command`. What cannot be understood is logged, and is not applicable in the end."""
    try:
        how = _of(command)
        return how.look(command) if how else Look(NOT_APPLICABLE, "")
    except Exception as error:  # noqa: BLE001  (records may hold anything)
        if faults.kind_of(error):
            raise
        logger.exception("The effect of %s (%s) could not be looked for", command, command.task_id)
        return Look(PENDING, "", at_end=NOT_APPLICABLE)


def _decided(command: Command, seen: Look, now: datetime) -> Look:
    """Return the last `Look` of a command whose time has run out, else `seen`."""
    if seen.result == PENDING and command.confirm_until and command.confirm_until <= now:
        seen = seen._replace(result=seen.at_end)
        if seen.result == NOT_SEEN and command.finished_at:
            within = _in_words(command.confirm_until - command.finished_at)
            seen = seen._replace(detail=f"Not seen within {within}. {seen.detail}".strip())
    return seen


def _in_words(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min" if seconds < 7200 else _hours(seconds)


def _hours(seconds: int) -> str:
    return f"{round(seconds / 3600)} h"


def _store(looks: dict[Command, Look], now: datetime) -> int:
    """Store what was seen, once; submit the read-backs that are wanted. Return how many commands were decided."""
    rows = [
        {
            "id": command.pk,
            "confirmation": seen.result,
            "detail": seen.detail,
            "look_at": now + _pause(command, now),
            "looked_at": command.look_at,
        }
        for command, seen in looks.items()
    ]
    with transaction.atomic(), events.batched_events():
        stored = {pk for (pk,) in bulk_sql.execute(sql.CONFIRM, rows)}
        decided = [c for c, seen in looks.items() if c.pk in stored and seen.result != PENDING]
        for command in decided:
            _announce(command, looks[command])
        if decided:
            _count_again(decided)
    _read_back([c for c, seen in looks.items() if c.pk in stored and seen.result == PENDING], now)
    return len(decided)


def _pause(command: Command, now: datetime) -> timedelta:
    age = now - (command.finished_at or now)
    return min(max(age / PART_OF_AGE, MIN_PAUSE), MAX_PAUSE)


def _announce(command: Command, seen: Look) -> None:
    if kind := EVENTS.get(seen.result):
        body = {"task_id": command.task_id, "action": command.action, "detail": seen.detail}
        events.record_event(kind, command.charger_id, **body, requested_by=command.requested_by)
    transaction.on_commit(partial(mailbox.completions.put, command.task_id), robust=True)


def _count_again(decided: Sequence[Command]) -> None:
    """Store the counts of finished batches again, because the effects of `decided` are known only now."""
    found = BatchItem.objects.filter(command__in=[command.pk for command in decided]).values("batch")
    for batch in Batch.objects.select_for_update().filter(pk__in=found).order_by("pk"):
        if batch.finished_at:
            Batch.objects.filter(pk=batch.pk).update(counts=batch.counted())


# --- read-backs --------------------------------------------------------------------------------


def must_yield(command: Command) -> bool:
    """Whether another command than a read-back waits for the charger of `command`, which is one."""
    others = _not_reading_back().filter(charger=command.charger_id, pk__gt=command.pk)
    return others.exclude(state=FINISHED).exists()


def _not_reading_back() -> QuerySet[Command]:
    return Command.objects.exclude(IS_READ_BACK)


def _read_back(commands: Sequence[Command], now: datetime) -> None:
    """Submit the read-backs of those of `commands` whose chargers are online and had nothing else to do for a while.

    So none comes between commands that are submitted one after the other, as by a script.
    """
    wanted = [(command, read) for command in commands if (read := _wanted(command, now))]
    if not wanted or not settings.OCPP_READ_BACK_SECONDS:
        return
    busy = _busy([command for command, _ in wanted], now)
    for command, read in wanted:
        if command.charger_id not in busy:
            busy.add(command.charger_id)
            _submit(command, read)


def _busy(commands: Sequence[Command], now: datetime) -> set[int]:
    """Return the chargers of `commands` that have a command to do, had one lately, or have booted lately."""
    lately = now - timedelta(seconds=settings.OCPP_READ_BACK_SECONDS)
    chargers = {command.charger for command in commands}
    booted = {charger.pk for charger in chargers if charger.last_boot_at and charger.last_boot_at > lately}
    # Older commands than these have finished earlier, so that only a few rows of each charger are read.
    since = _not_reading_back().filter(charger__in=chargers, pk__gte=min(command.pk for command in commands))
    unfinished = Command.objects.filter(charger__in=chargers).exclude(state=FINISHED)
    finished = since.filter(finished_at__gt=lately)
    return booted.union(*(found.values_list("charger", flat=True) for found in (unfinished, finished)))


def _wanted(command: Command, now: datetime) -> FollowUp | None:
    """Return the next read-back of `command`, None if there is none now."""
    how, former = _of(command), [read for read in command.read_backs if read.outcome != CANCELLED]
    answered = [read for read in former if read.outcome not in SILENT]
    if how is None or not command.charger.is_online or len(former) >= MAX_READ_BACKS or len(answered) >= MAX_ANSWERED:
        return None
    if former:
        last = former[-1]
        pause = PAUSE_AFTER_SILENCE if last.outcome in SILENT else PAUSE_AFTER_ANSWER
        if last.finished_at is None or last.finished_at + pause > now:
            return None
    return how.read_back(command)


def _submit(command: Command, read: FollowUp) -> None:
    try:
        with transaction.atomic():
            submit_internal(command.charger, *read, caused_by=command, timeout=READ_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001  (one command would block all others)
        if faults.kind_of(error):
            raise
        logger.exception("The effect of %s (%s) can't be read back", command, command.task_id)
