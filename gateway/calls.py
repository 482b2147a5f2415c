"""Process a batch of entries in one transaction: detect duplicates, check acceptance, run the handlers."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from django.db import transaction

from chargers.services import connections, findings
from core.ocpp import frames
from core.ocpp.calls import Call
from gateway import acceptance
from gateway.commits import Batch, Commits, Entry, RefusedItems
from gateway.retries import StaleConnection, answered_before, check, remember, stale_before


def process_batch(batch: Batch) -> list[object]:
    """Process the entries of `batch`, and write `last_seen` of the chargers in `batch.seen`.

    Return one outcome per entry: the text of the answer to a CALL, or what its handler has returned. Raise
    `RefusedItems` for calls that turn out to be not allowed.
    """
    calls = [entry.item for entry in batch.entries if isinstance(entry.item, Call)]
    _lock(batch, calls)
    outcomes = _settled(batch, calls)
    todo = [entry for entry in batch.entries if id(entry.item) not in outcomes]
    outcomes |= _run_handlers(todo)
    current = [call for call in calls if not isinstance(outcomes[id(call)], StaleConnection)]
    remember(current, batch.seen)
    statuses = check(current)  # after the calls are processed, see decision 0026
    allowed = [call for call in calls if call.key not in batch.refused]
    if not_accepted := acceptance.refused_after(allowed, statuses):
        raise RefusedItems(not_accepted)
    _count_findings(todo)
    return [outcomes[id(entry.item)] for entry in batch.entries]


def _lock(batch: Batch, calls: Sequence[Call]) -> None:
    """Lock the rows of chargers where this is needed, all at once.

    A first attempt may still be committing, although its connection is lost. If the rows of sockets were locked
    before those of CALLs, this could deadlock with another process.
    """
    sockets = [entry for entry in batch.entries if entry.handler in connections.WRITERS_OF_CHARGERS]
    if batch.attempts or sockets:
        changed = {entry.charger for entry in sockets if entry.charger is not None}
        connections.lock({*changed, *batch.seen, *(call.charger for call in calls)})


def _settled(batch: Batch, calls: Sequence[Call]) -> dict[int, object]:
    """Return the outcomes of calls that are not processed, since they are repeated or refused: {id of the call: its
    outcome}."""
    known = answered_before(calls) if batch.attempts else {}
    batch.refused |= stale_before([call for call in calls if call.key not in known])
    remaining = [call for call in calls if call.key not in known and call.key not in batch.refused]
    batch.refused |= acceptance.refused_before(remaining)
    outcomes: dict[int, object] = {}
    for call in calls:
        refusal = batch.refused.get(call.key)
        if call.key in known:
            outcomes[id(call)] = call.answer = known[call.key]
        elif isinstance(refusal, frames.CallError):
            outcomes[id(call)] = call.answer = frames.call_error(call.message_id, refusal)
        elif refusal is not None:
            outcomes[id(call)] = refusal
    return outcomes


def _run_handlers(todo: Sequence[Entry]) -> dict[int, object]:
    """Run each handler once for all its entries, in the order of names. Return {id of an item: its outcome}."""
    by_handler = defaultdict(list)
    for entry in todo:
        by_handler[entry.handler].append(entry.item)
    outcomes: dict[int, object] = {}
    for handler in sorted(by_handler, key=lambda handler: (handler.__qualname__, handler.__module__)):
        items = by_handler[handler]
        for item, outcome in zip(items, handler(items), strict=True):
            if isinstance(item, Call):
                outcome = item.answer = frames.call_result(item.message_id, outcome)
            outcomes[id(item)] = outcome
    return outcomes


def _count_findings(entries: Sequence[Entry]) -> None:
    for call in (entry.item for entry in entries if isinstance(entry.item, Call) and entry.item.findings):
        count = partial(findings.add, call.charger, call.action, call.findings, call.received_at)
        transaction.on_commit(count, robust=True)


commits = Commits(process_batch)
