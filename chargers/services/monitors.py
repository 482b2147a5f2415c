"""The monitors of the variables of chargers, and the events that these report (OCPP 2.0.1 N02 to N08)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any

import orjson

from chargers.models import Monitor, MonitoringEvent
from chargers.services import budgets, events
from chargers.services.variables import VariableName
from core.ocpp.calls import Call

# The columns that, with the charger, name a variable.
NAME = ("component", "component_instance", "evse_id", "connector_id", "variable", "instance")
EventKey = tuple[int, str]  # the charger (primary key), and the digest of the event
MonitorKey = tuple[int, int | None]  # the charger (primary key), and the id of the monitor
REPORTED = (*NAME, "type", "value", "severity", "transaction", "source", "reported_at")


@dataclass(frozen=True, slots=True)
class ReportedMonitor:
    """A monitor as its charger reported or accepted it. `source` is "" where that does not say it."""

    name: VariableName
    monitor_id: int
    type: str
    value: float | None = None
    severity: int | None = None
    transaction: bool = False
    source: str = ""


def report(reports: Iterable[tuple[int, Iterable[ReportedMonitor]]], at: Mapping[int, datetime]) -> dict[int, int]:
    """Store the monitors that chargers (primary keys) reported; `at` is {charger: time of its report}.

    Return {charger: number} of those beyond its budget, which are not stored. A monitor keeps its known source,
    unless its id stands for another monitor by now (N04.FR.19).
    """
    wanted = {(charger, monitor.monitor_id): monitor for charger, reported in reports for monitor in reported}
    chargers = {charger for charger, _ in wanted}
    rows = Monitor.objects.filter(charger__in=chargers) if wanted else ()
    stored = {(row.charger_id, row.monitor_id): row for row in rows}
    excess = _beyond_budget([key for key in wanted if key not in stored], Counter(charger for charger, _ in stored))
    for key in excess:
        del wanted[key]
    Monitor.objects.bulk_create(
        [_row(key[0], wanted[key], stored.get(key), at[key[0]]) for key in sorted(wanted)],
        update_conflicts=True,
        unique_fields=["charger", "monitor_id"],
        update_fields=REPORTED,
    )
    return Counter(charger for charger, _ in excess)


def _beyond_budget(new: list[tuple[int, int]], stored: Counter[int]) -> list[tuple[int, int]]:
    """Return those of the `new` monitors, (charger, id), for which their chargers have no room beside `stored`."""
    limit, counts, excess = budgets.BUDGETS["monitors"].limit, Counter(stored), []
    for key in new if limit else ():
        if counts[key[0]] >= limit:
            excess.append(key)
        counts[key[0]] += 1
    return excess


def _row(charger: int, monitor: ReportedMonitor, stored: Monitor | None, at: datetime) -> Monitor:
    row = Monitor(
        charger_id=charger,
        monitor_id=monitor.monitor_id,
        **_columns(monitor.name),
        type=monitor.type,
        value=monitor.value,
        severity=monitor.severity,
        transaction=monitor.transaction,
        source=monitor.source,
        reported_at=at,
    )
    is_same = stored and (identity(stored), stored.type) == (identity(row), row.type)
    if stored and is_same and not row.source:
        row.source = stored.source
    return row


def _columns(name: VariableName) -> dict[str, Any]:
    return {column: getattr(name, column) for column in NAME}


def identity(name: VariableName | Monitor) -> tuple[object, ...]:
    """Return what names a variable, since OCPP compares the texts without case."""
    parts = (getattr(name, column) for column in NAME)
    return tuple(part.casefold() if isinstance(part, str) else part for part in parts)


def forget(charger: int, monitor_ids: Iterable[int]) -> None:
    """Delete the monitors that `charger` (primary key) no longer has."""
    Monitor.objects.filter(charger=charger, monitor_id__in=list(monitor_ids)).delete()


def forget_of(charger: int, sources: Iterable[str]) -> None:
    """Delete the monitors of these `sources`, because `charger` (primary key) has removed all of them."""
    Monitor.objects.filter(charger=charger, source__in=list(sources)).delete()


def forget_unreported(
    charger: int, monitor_ids: Iterable[int], since: datetime, types: Iterable[str] | None = None
) -> None:
    """Delete the monitors that a whole report of `charger` (primary key) does not have.

    The report was requested at `since` and has all monitors, or all of these `types`. Later ones may not be in it.
    """
    rows = Monitor.objects.filter(charger=charger, reported_at__lt=since).exclude(monitor_id__in=list(monitor_ids))
    (rows if types is None else rows.filter(type__in=list(types))).delete()


# --- events ----------------------------------------------------------------------------------

# The columns of an event that are stored as sent.
SENT = (
    *("event_id", "cause", "trigger", "notification_type", "actual_value", "cleared", "tech_code", "tech_info"),
    *("monitor_id", "reference", "seq_no"),
)


@dataclass(frozen=True)
class ReportedEvent:
    """An event of a variable, without secrets; `raw_timestamp` and `raw_generated_at` are its times as sent.

    `source` is that of its monitor, "" if the event does not say it. `reference` is the charger's own id of the
    transaction that it belongs to.
    """

    call: Call
    name: VariableName
    timestamp: datetime
    raw_timestamp: str
    generated_at: datetime
    raw_generated_at: str
    event_id: int | None = None
    cause: int | None = None
    trigger: str = ""
    notification_type: str = ""
    actual_value: str = ""
    cleared: bool = False
    tech_code: str = ""
    tech_info: str = ""
    monitor_id: int | None = None
    source: str = ""
    reference: str = ""
    seq_no: int | None = None

    @cached_property
    def digest(self) -> str:
        """Compute the digest of all that was sent, by which a repeated event is found."""
        columns = [*_columns(self.name).values(), *(getattr(self, column) for column in SENT)]
        sent = orjson.dumps([self.raw_timestamp, self.raw_generated_at, *columns])
        return blake2b(sent, digest_size=16).hexdigest()


def record_events(reported: Iterable[ReportedEvent]) -> None:
    """Store each event once, within the budget of its charger, and the source of its monitor."""
    new = {(event.call.charger, event.digest): event for event in reported}
    for key in _known(new):
        new.pop(key, None)
    stored = budgets.within_rate(list(new.values()), "monitoring_events")
    monitors = _monitors(stored)
    rows = [_event_row(event, monitors.get((event.call.charger, event.monitor_id))) for event in stored]
    MonitoringEvent.objects.bulk_create(rows, ignore_conflicts=True)
    _store_sources(stored, monitors)
    for row in rows:
        fields = {column: getattr(row, column) for column in (*NAME, *SENT, "severity", "timestamp")}
        events.record_event("monitoring.event", row.charger_id, **fields)


def _known(keys: Iterable[EventKey]) -> Iterable[EventKey]:
    """Return the keys of the stored events of the same chargers with one of these digests."""
    chargers, digests = {charger for charger, _ in keys}, {digest for _, digest in keys}
    rows = MonitoringEvent.objects.filter(charger_id__in=chargers, digest__in=digests)
    return list(rows.values_list("charger_id", "digest"))


def _monitors(reported: Iterable[ReportedEvent]) -> dict[MonitorKey, Monitor]:
    """Return the stored monitors of these events."""
    keys = {(event.call.charger, event.monitor_id) for event in reported if event.monitor_id is not None}
    rows = Monitor.objects.filter(
        charger_id__in={charger for charger, _ in keys}, monitor_id__in={monitor_id for _, monitor_id in keys}
    )
    return {(row.charger_id, row.monitor_id): row for row in rows} if keys else {}


def _event_row(event: ReportedEvent, monitor: Monitor | None) -> MonitoringEvent:
    return MonitoringEvent(
        charger_id=event.call.charger,
        **_columns(event.name),
        **{column: getattr(event, column) for column in SENT},
        severity=monitor.severity if monitor else None,
        timestamp=event.timestamp,
        raw_timestamp=event.raw_timestamp,
        generated_at=event.generated_at,
        received_at=event.call.received_at,
        digest=event.digest,
    )


def _store_sources(reported: Iterable[ReportedEvent], monitors: Mapping[MonitorKey, Monitor]) -> None:
    """Store the sources that events say of their monitors, in one order, so that batches do not deadlock."""
    said = {(event.call.charger, event.monitor_id): event.source for event in reported if event.source}
    for key in sorted(said.keys() & monitors.keys()):
        if monitors[key].source != said[key]:
            monitors[key].source = said[key]
            monitors[key].save(update_fields=["source"])
