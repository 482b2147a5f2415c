"""Process a batch of entries in one transaction: detect duplicates, check acceptance, run the handlers."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any

from django.db import transaction

from chargers.services import connections, findings
from core.ocpp import frames
from core.ocpp.calls import Call, CallKey
from gateway import acceptance
from gateway.commits import Commits, Entry, RefusedItems
from gateway.retries import StaleConnection, answered_before, lock, remember, stale_before


def process_batch(
    batch: list[Entry], seen: dict[int, datetime], refused: dict[CallKey, Exception], is_retried: bool
) -> list[object]:
    """Process the entries of `batch`, and write `last_seen` of the chargers in `seen` ({primary key: time}).

    Return one outcome per entry: the text of the answer to a CALL, or what its handler has returned. `refused` is
    {key of a call: its refusal}. Raise `RefusedItems` for calls that turn out to be not allowed.
    """
    calls = [entry.item for entry in batch if isinstance(entry.item, Call)]
    moved = [pk for entry in batch if entry.handler in connections.MOVES and (pk := entry.charger) is not None]
    if is_retried or moved:
        # The first attempt may still be committing, although its connection is lost. All rows are locked at once,
        # because locking those of sockets first and those of CALLs later could deadlock with another process.
        lock({*moved, *seen, *(call.charger for call in calls)})
    known = answered_before(calls) if is_retried else {}
    refused |= stale_before([call for call in calls if call.key not in known])
    remaining = [call for call in calls if call.key not in known and call.key not in refused]
    refused |= acceptance.refused_before(remaining)
    outcomes: dict[int, object] = {}
    todo: list[Entry] = []
    for entry in batch:
        if isinstance(entry.item, Call) and entry.item.key in known:
            outcomes[id(entry)] = entry.item.answer = known[entry.item.key]
        elif isinstance(entry.item, Call) and entry.item.key in refused:
            outcomes[id(entry)] = _refusal(entry.item, refused[entry.item.key])
        else:
            todo.append(entry)
    outcomes |= _run_handlers(todo)
    statuses = remember([call for call in calls if not isinstance(refused.get(call.key), StaleConnection)], seen)
    if not_accepted := acceptance.refused_after([call for call in calls if call.key not in refused], statuses):
        raise RefusedItems(not_accepted)
    _count_findings(entry.item for entry in todo if isinstance(entry.item, Call) and entry.item.findings)
    return [outcomes[id(entry)] for entry in batch]


def _run_handlers(todo: list[Entry]) -> dict[int, object]:
    """Run the handler of each entry, once for all entries of a handler. Return {id of the entry: its outcome}."""
    outcomes: dict[int, object] = {}
    by_handler = sorted(todo, key=lambda entry: (entry.handler.__qualname__, entry.handler.__module__))
    for handler, group in groupby(by_handler, key=lambda entry: entry.handler):
        entries = list(group)
        answers = handler([entry.item for entry in entries])
        for entry, answer in zip(entries, answers, strict=True):
            outcomes[id(entry)] = _as_text(entry.item, answer) if isinstance(entry.item, Call) else answer
    return outcomes


def _count_findings(calls: Iterable[Call]) -> None:
    for call in calls:
        count = partial(findings.add, call.charger, call.action, call.findings, call.received_at)
        transaction.on_commit(count, robust=True)


def _refusal(call: Call, refused: Exception) -> str | StaleConnection:
    return refused if isinstance(refused, StaleConnection) else _as_text(call, refused)


def _as_text(call: Call, answer: Any) -> str:
    if isinstance(answer, frames.CallError):
        call.answer = frames.call_error(call.message_id, answer)
    else:
        call.answer = frames.call_result(call.message_id, answer)
    return call.answer


commits = Commits(process_batch)
