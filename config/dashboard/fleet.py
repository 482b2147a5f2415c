"""The fleet in numbers: which charger is in which state, how much power flows, how much was charged today."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, Sum, Value, When

from chargers.access import within
from chargers.models import Charger, Connector
from chargers.models.charger import NOT_ACCEPTED, ONLINE
from config.dashboard.models import FleetMinute
from transactions.models import Transaction

# What needs attention comes first. The state of a charger is its place here.
FAULTED, REFUSED, OFFLINE, UNAVAILABLE, CHARGING, FREE, NEVER = range(7)
STATES = ("faulted", "not accepted", "offline", "unavailable", "charging", "available", "never connected")
KEPT = timedelta(days=31)
SEARCHED = ("charger_id", "description", "vendor", "model", "serial_number", "firmware_version")
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


def under_way(user):
    """Transactions that go on, of chargers whose socket is open: of others nobody knows.

    On a connector that says Available none does; its stop has not come yet, or was lost.
    """
    online = Q(charger__in=Charger.objects.filter(ONLINE))
    here = Connector.objects.filter(charger=OuterRef("charger"), connector_id=OuterRef("connector_id"))
    free = Exists(here.filter(status="Available"))
    return within(user, Transaction.objects.ongoing().filter(online, ~free, superseded_by=None))


def power_now(user):
    """W, as the transactions under way told last."""
    return under_way(user).aggregate(power=Sum("power_latest"))["power"] or 0


# --- minute by minute ------------------------------------------------------------------------

# What a transaction had charged before midnight is read from its readings; there are few that last over it.
TODAY = """
SELECT coalesce(least(sum(greatest(0, coalesce(t.meter_stop, t.meter_latest) - CASE
    WHEN t.start_time >= %(midnight)s THEN t.meter_start
    ELSE coalesce((SELECT max(m.number * CASE m.unit WHEN 'kWh' THEN 1000 ELSE 1 END)
        FROM transactions_metervalue m
        WHERE m.transaction_id = t.id AND m.timestamp < %(midnight)s AND m.phase = '' AND m.location = 'Outlet'
            AND m.measurand = 'Energy.Active.Import.Register'), t.meter_start) END)), 9007199254740991), 0)::bigint
FROM transactions_transaction t
WHERE (t.start_time >= %(midnight)s AND t.start_time < %(midnight)s + interval '1 day')
    OR (t.start_time < %(midnight)s AND t.start_time > %(midnight)s - interval '7 days'
        AND (t.stop_time >= %(midnight)s
             OR num_nonnulls(t.stop_received_at, t.closed_at) = 0 AND t.superseded_by_id IS NULL))
"""


def energy_today(now):
    """Wh charged since midnight UTC by all transactions; of those that began more than a week ago, nothing."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(TODAY, {"midnight": midnight})
        return cursor.fetchone()[0]


class Everybody:
    """Who reaches every charger."""

    is_authenticated = True

    @staticmethod
    def has_perm(permission):
        return True


def note_minute():
    """Write how the fleet is now, and forget what is older than a month."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    told = counts(Everybody)
    FleetMinute.objects.update_or_create(
        at=now,
        defaults={
            "connected": told["connected"],
            "charging": told["charging"],
            "faulted": told["faulted"],
            "power_w": power_now(Everybody),
            "energy_today_wh": energy_today(now),
        },
    )
    FleetMinute.objects.filter(at__lt=now - KEPT).delete()
