"""The fleet in numbers: which charger is in which state, how much power flows, how much was charged today."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, Sum, Value, When

from chargers.access import within
from chargers.models import Charger, Connector
from chargers.models.charger import NOT_ACCEPTED, ONLINE
from core.ocpp.timestamps import day_bounds, display_zone
from dashboard.models import FleetMinute
from transactions.models import Transaction

# What needs attention comes first. The state of a charger is its place here.
FAULTED, REFUSED, OFFLINE, UNAVAILABLE, CHARGING, IN_USE, FREE, NEVER = range(8)
STATES = ("faulted", "not accepted", "offline", "unavailable", "charging", "in use", "available", "never connected")
# Of a connector that says so no power flows, whatever its transaction told last.
STILL = ("Available", "SuspendedEV", "SuspendedEVSE", "Finishing", "Reserved", "Unavailable", "Faulted")
SILENT = timedelta(minutes=15)  # after which what a charger told of its power is believed no more
SEARCHED = ("charger_id", "description", "vendor", "model", "serial_number", "firmware_version")
MOST_CONNECTORS = 32  # of a charger that the grid shows
MOST_WORDS = 10  # that are searched for: each is six conditions more


def _has(*statuses, **more):
    return Exists(Connector.objects.filter(charger=OuterRef("pk"), status__in=statuses, **more))


STATE = Case(
    When(connected_at=None, then=Value(NEVER)),
    When(~ONLINE, then=Value(OFFLINE)),
    When(NOT_ACCEPTED, then=Value(REFUSED)),
    When(_has("Faulted"), then=Value(FAULTED)),
    When(_has("Charging", "SuspendedEV", "SuspendedEVSE"), then=Value(CHARGING)),
    When(_has("Unavailable", connector_id=0), then=Value(UNAVAILABLE)),
    When(_has("Available", connector_id__gt=0), then=Value(FREE)),
    When(_has("Preparing", "Finishing", "Reserved"), then=Value(IN_USE)),
    When(_has("Unavailable"), then=Value(UNAVAILABLE)),
    default=Value(FREE),
    output_field=IntegerField(),
)


def chargers(user):
    """Those that `user` may reach, each with its `state`, what needs attention first."""
    return within(user, Charger.objects.all(), "pk").annotate(state=STATE).order_by("state", "charger_id")


def narrowed(user, search, state):
    """Those in which each word of `search` is found, in `state`: one of STATES, or connected."""
    rows = chargers(user)
    for word in search.replace("\0", " ").split()[:MOST_WORDS]:
        rows = rows.filter(Q(*[(f"{column}__icontains", word) for column in SEARCHED], _connector=Q.OR))
    if state == "connected":
        return rows.exclude(state__in=(OFFLINE, NEVER))
    return rows.filter(state=STATES.index(state)) if state in STATES else rows


def counts(user):
    """{state: number of chargers}, and `connected`, `total`."""
    counted = dict(chargers(user).order_by().values_list("state").annotate(Count("pk")))
    told = {name: counted.get(state, 0) for state, name in enumerate(STATES)}
    total = sum(told.values())
    return told | {"total": total, "connected": total - told["offline"] - told["never connected"]}


def few_connectors():
    """Of each charger one connector more than the grid shows, faulted ones first: some chargers tell of thousands."""
    is_faulted = Case(When(status="Faulted", then=Value(0)), default=Value(1))
    return Connector.objects.order_by(is_faulted, "connector_id")[: MOST_CONNECTORS + 1]


def charging(user):
    """Transactions through which power flows, as far as is known: their chargers are heard, and say nothing else."""
    heard = Charger.objects.filter(ONLINE, last_seen__gte=datetime.now(UTC) - SILENT)
    here = Connector.objects.filter(charger=OuterRef("charger"), connector_id=OuterRef("connector_id"))
    still = Exists(here.filter(status__in=STILL))
    ongoing = Transaction.objects.ongoing().filter(~still, charger__in=heard, superseded_by=None)
    return within(user, ongoing)


def looked_at(user, sessions):
    """`sessions`, each with `is_charging`, and `is_stuck`: its connector is free again, and no stop has come."""
    keys = [session.pk for session in sessions if session.is_under_way]
    here = Connector.objects.filter(charger=OuterRef("charger"), connector_id=OuterRef("connector_id"))
    stuck = Transaction.objects.filter(Exists(here.filter(status="Available")), pk__in=keys)
    flowing, stuck = (set(rows.values_list("pk", flat=True)) for rows in (charging(user).filter(pk__in=keys), stuck))
    for session in sessions:
        session.is_charging, session.is_stuck = session.pk in flowing, session.pk in stuck
    return sessions


def power_now(user):
    """W, as the transactions under way told last."""
    return charging(user).aggregate(power=Sum("power_latest"))["power"] or 0


# --- minute by minute ------------------------------------------------------------------------

# What a transaction had charged before midnight is read from its readings; there are few that last over it.
# `least` and `greatest` pass over NULL: without a transaction the sum is NULL, and the bound alone would be left. So
# the sum is made a number first. The inner `greatest` makes 0 of a transaction whose register is not known.
TODAY = """
SELECT least(coalesce(sum(greatest(0, t.energy_wh - CASE
    WHEN t.start_time >= %(midnight)s THEN 0
    WHEN read.wh >= counted.base THEN read.wh - counted.base ELSE coalesce(read.wh, 0) END)), 0),
    9007199254740991)::bigint
FROM transactions_transaction t
CROSS JOIN LATERAL (SELECT coalesce(t.corrected_meter_start,
    CASE WHEN t.meter_start BETWEEN 0 AND 2147483647 THEN t.meter_start END, t.meter_first) AS base) counted
LEFT JOIN LATERAL (
    SELECT coalesce(max(wh) FILTER (WHERE phase = ''),
        sum(wh) FILTER (WHERE phase IN ('L1', 'L2', 'L3', 'L1-N', 'L2-N', 'L3-N'))) AS wh
    FROM (
        SELECT m.phase, max(m.number * CASE m.unit WHEN 'kWh' THEN 1000 ELSE 1 END) AS wh
        FROM transactions_metervalue m
        WHERE t.start_time < %(midnight)s AND m.transaction_id = t.id AND m.timestamp < %(midnight)s
            AND m.location = 'Outlet' AND m.measurand = 'Energy.Active.Import.Register' GROUP BY m.phase
    ) each
) read ON true
WHERE (t.start_time >= %(midnight)s AND t.start_time < %(next_midnight)s)
    OR (t.start_time < %(midnight)s AND t.start_time > %(midnight)s - interval '7 days'
        AND (t.stop_time >= %(midnight)s
             OR num_nonnulls(t.stop_received_at, t.closed_at) = 0 AND t.superseded_by_id IS NULL))
"""


def energy_today(now, zone):
    """Wh charged since midnight in `zone` by all transactions; of those that began a week before it, nothing."""
    midnight, next_midnight = day_bounds(now.astimezone(zone).date(), zone)
    with connection.cursor() as cursor:
        cursor.execute(TODAY, {"midnight": midnight, "next_midnight": next_midnight})
        return cursor.fetchone()[0]


def minute_of_today(now, zone):
    """The newest `FleetMinute` of the day of `zone` in which `now` lies, None where none was noted yet.

    The one before midnight has the energy of yesterday.
    """
    midnight, _ = day_bounds(now.astimezone(zone).date(), zone)
    return FleetMinute.objects.filter(at__gte=midnight).first()


class Everybody:
    """Who reaches every charger."""

    is_authenticated = True

    @staticmethod
    def has_perm(permission):
        return True


def note_minute(now=None):
    """Write how the fleet is, as the minute of `now` (by default the present one)."""
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    told = counts(Everybody)
    FleetMinute.objects.update_or_create(
        at=now,
        defaults={
            "connected": told["connected"],
            "charging": told["charging"],
            "faulted": told["faulted"],
            "power_w": power_now(Everybody),
            "energy_today_wh": energy_today(now, display_zone()),
        },
    )
