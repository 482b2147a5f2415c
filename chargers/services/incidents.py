"""Open and close incidents by comparing their causes with the current ones, and change them for users.

A rule is a SELECT of the causes that are present now. One statement for each rule opens, refreshes and closes its
incidents, however many chargers there are. Messages of chargers are not delayed, because the rules read what these
have stored.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from chargers import sql
from chargers.models import Incident
from chargers.models.incidents import ACKNOWLEDGED, CLOSED, OPEN
from chargers.services import access, events, incident_notifications
from core.db import bulk_sql
from core.http.errors import Conflict
from core.redis import leases

logger = logging.getLogger(__name__)

INTERVAL_S = 5  # between two runs of the rules
# Events are read from before the last run, because one may be committed later than its time.
OVERLAP_S, MAX_PERIOD_S = 10, 3600
SETTLING_S = 10  # without its cause, after which an incident is closed
QUIET_S = 3600  # without another one, after which an incident of single messages is closed
LAST_RUN = "incidents-last-run"


class Span(NamedTuple):
    """The time since which events have not been looked at."""

    since: datetime


@dataclass(frozen=True)
class Rule:
    """`causes` is a SELECT of the present causes of `kind`; `parameters` are those of it beside kind and since.

    An incident is closed after `settling_s` without its cause.
    """

    kind: str
    causes: str
    settling_s: int = SETTLING_S
    parameters: Callable[[], Mapping[str, object]] = dict


class Change(NamedTuple):
    """What a run has done to an incident: `change` is opened, reopened, changed or closed."""

    incident: int
    charger: int | None
    severity: str
    code: str
    change: str
    recurrences: int


EVENTS = {"opened": "incident.opened", "reopened": "incident.opened", "closed": "incident.closed"}
REASONS = {
    "opened": "opened",
    "changed": "opened",
    "closed": "closed",
}  # "changed" may be severe enough for more rules


def reconcile(rules: Iterable[Rule]) -> list[Change]:
    """Apply `rules`; return what has changed. An error of one rule is raised after the others were applied."""
    span = _since_last_run()
    changes, errors = [], []
    for rule in rules:
        try:
            changes += apply(rule, span)
        except Exception as error:  # noqa: BLE001  (see above)
            errors.append(error)
    if errors:
        raise errors[0]
    leases.record_time(LAST_RUN)
    incident_notifications.remind()
    return changes


def _since_last_run() -> Span:
    now = datetime.now(UTC)
    last = datetime.fromtimestamp(leases.last_time_of(LAST_RUN), UTC)
    return Span(max(last - timedelta(seconds=OVERLAP_S), now - timedelta(seconds=MAX_PERIOD_S)))


def apply(rule: Rule, span: Span) -> list[Change]:
    """Apply one rule in one transaction: incidents, their history, events and notifications."""
    parameters = {"kind": rule.kind, "settling": rule.settling_s, "since": span.since, **rule.parameters()}
    with transaction.atomic(), events.batched_events():
        rows = bulk_sql.query(sql.reconcile_incidents(rule.causes), parameters)
        changes = [Change(*row) for row in rows]
        for change in changes:
            _announce(EVENTS.get(change.change), rule.kind, change)
        incident_notifications.create(
            (change.incident, REASONS[change.change], change.recurrences if change.change == "closed" else 0)
            for change in changes
            if change.change in REASONS
        )
    return changes


def _announce(kind: str | None, incident_kind: str, change: Change) -> None:
    """Record an event of the charger; pages hear of an incident without a charger, too."""
    fields: dict[str, Any] = {"incident_id": change.incident, "incident_kind": incident_kind}
    fields |= {"severity": change.severity, "code": change.code}
    if kind and change.charger is not None:
        events.record_event(kind, change.charger, **fields)
    else:
        events.notify_live("incident.changed", change.charger or 0, **fields)


# --- for users -------------------------------------------------------------------------------


def visible(user: Any) -> QuerySet[Incident]:
    """Return the incidents that `user` may see; those without a charger need the reach of every charger."""
    return access.within(user, Incident.objects.select_related("charger__site", "assignee"))


@transaction.atomic
def acknowledge(incident: Incident, who: str) -> Incident:
    """Acknowledge an open incident. One that is acknowledged stays so; raise `Conflict` for a closed one."""
    incident = _locked(incident)
    if incident.state == CLOSED:
        raise Conflict("This incident is closed.")
    if incident.state == OPEN:
        incident.state, incident.acknowledged_by, incident.acknowledged_at = ACKNOWLEDGED, who, bulk_sql.clock()
        incident.save(update_fields=["state", "acknowledged_by", "acknowledged_at"])
        _note(incident, "acknowledged", who)
        _changed("incident.acknowledged", incident)
    return incident


@transaction.atomic
def assign(incident: Incident, assignee: User | None, who: str) -> Incident:
    """Assign an incident to a user, or to nobody. Raise `Conflict` for a closed one."""
    incident = _locked(incident)
    if incident.state == CLOSED:
        raise Conflict("This incident is closed.")
    if incident.assignee != assignee:
        incident.assignee = assignee
        incident.save(update_fields=["assignee"])
        _note(incident, "assigned", who, assignee.get_username() if assignee else "")
        _changed("incident.changed", incident)
    return incident


@transaction.atomic
def note(incident: Incident, text: str, who: str) -> Incident:
    """Add a note to the history."""
    incident = _locked(incident)
    _note(incident, "note", who, text)
    _changed("incident.changed", incident)
    return incident


@transaction.atomic
def close(incident: Incident, who: str) -> Incident:
    """Close an incident. If its cause lasts, it is not opened again until the cause has ended and recurs."""
    incident = _locked(incident)
    if incident.state != CLOSED:
        incident.state, incident.closed_by, incident.closed_at = CLOSED, who, bulk_sql.clock()
        incident.save(update_fields=["state", "closed_by", "closed_at"])
        _note(incident, "closed", who)
        _changed("incident.closed", incident)
        incident_notifications.create([(incident.pk, "closed", incident.recurrences)])
    return incident


def may_be_assigned(user: User, incident: Incident) -> bool:
    """Whether `user` may see the incident, and so may work on it."""
    if not (user.is_active and user.has_perm("chargers.view_incident")):
        return False
    return visible(user).filter(pk=incident.pk).exists()


def _locked(incident: Incident) -> Incident:
    rows = Incident.objects.select_for_update(of=("self",)).select_related("charger__site", "assignee")
    return rows.get(pk=incident.pk)


def _note(incident: Incident, action: str, who: str, text: str = "") -> None:
    row = {"incident": incident.pk, "action": action, "who": who, "text": text}
    bulk_sql.execute(sql.ADD_INCIDENT_ENTRIES, [row])


def _changed(kind: str, incident: Incident) -> None:
    change = Change(incident.pk, incident.charger_id, incident.severity, incident.code, "", incident.recurrences)
    _announce(None if kind == "incident.changed" else kind, incident.kind, change)
