"""State of the fleet: the state of each charger, the current power, and the energy charged today."""

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.db.models import Case, Count, Exists, IntegerField, OuterRef, Q, Sum, Value, When

from chargers.models import Charger, Connector
from chargers.models.charger import NOT_ACCEPTED, ONLINE
from chargers.services import access
from chargers.services.access import within
from chargers.services.sites import by_id_or_name
from core.ocpp.timestamps import day_bounds, display_zone
from dashboard import sql
from dashboard.models import FleetMinute
from transactions.models import Transaction

# States that need attention are first. The state of a charger is an index into STATES.
FAULTED, REFUSED, OFFLINE, UNAVAILABLE, CHARGING, IN_USE, FREE, NEVER = range(8)
STATES = ("faulted", "not accepted", "offline", "unavailable", "charging", "in use", "available", "never connected")
# Statuses of a connector without power flow, regardless of the last meter values of its transaction.
NO_POWER = (
    "Available",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
)
# Charging states of OCPP 2.0.1, where the status of a connector does not say whether power flows.
CHARGING_STATES, NO_POWER_STATES = ("Charging", "SuspendedEV", "SuspendedEVSE"), ("EVConnected", "Idle")
SILENT = timedelta(minutes=15)  # a reported power is ignored after this time without a message
SEARCHED = ("identity", "description", "vendor", "model", "serial_number", "firmware_version")
MAX_CONNECTORS = 32  # shown of each charger in the grid
MAX_SEARCH_WORDS = 10  # of a search, because each adds six conditions
NO_SITE = "none"  # instead of a site: the chargers without one
UNKNOWN_SITE = "unknown"  # instead of a site that does not exist, or that the user may not see: no charger


def _has(*statuses, **more):
    return Exists(Connector.objects.filter(charger=OuterRef("pk"), status__in=statuses, **more))


def _has_session(*charging_states):
    under_way = Transaction.objects.ongoing().filter(charger=OuterRef("pk"), superseded_by=None)
    return Exists(under_way.filter(charging_state__in=charging_states))


STATE = Case(
    When(connected_at=None, then=Value(NEVER)),
    When(~ONLINE, then=Value(OFFLINE)),
    When(NOT_ACCEPTED, then=Value(REFUSED)),
    When(_has("Faulted"), then=Value(FAULTED)),
    When(_has("Charging", "SuspendedEV", "SuspendedEVSE"), then=Value(CHARGING)),
    When(_has("Occupied") & _has_session(*CHARGING_STATES), then=Value(CHARGING)),
    When(_has("Unavailable", evse_id=0, connector_id=0), then=Value(UNAVAILABLE)),
    When(_has("Available", connector_id__gt=0), then=Value(FREE)),
    When(_has("Preparing", "Finishing", "Reserved", "Occupied"), then=Value(IN_USE)),
    When(_has("Unavailable"), then=Value(UNAVAILABLE)),
    default=Value(FREE),
    output_field=IntegerField(),
)


def chargers(user):
    """Return the chargers that `user` has access to, each with its `state`, ordered by it."""
    return within(user, Charger.objects.all(), "pk").annotate(state=STATE).order_by("state", "identity")


def words(search):
    """Return the words of a search, at most MAX_SEARCH_WORDS."""
    return search.replace("\0", " ").split()[:MAX_SEARCH_WORDS]


def narrowed(user, search, state, site=None):
    """Return the chargers that contain each word of `search` and are in `state`, one of STATES or `connected`.

    `site` is as for `at_site`.
    """
    rows = at_site(chargers(user), site)
    for word in words(search):
        rows = rows.filter(Q(*[(f"{column}__icontains", word) for column in SEARCHED], _connector=Q.OR))
    if state == "connected":
        return rows.exclude(state__in=(OFFLINE, NEVER))
    return rows.filter(state=STATES.index(state)) if state in STATES else rows


def site_of(user, text):
    """Return what `at_site` needs for `text`, the id or the name of a site, NO_SITE, or "" for all chargers."""
    if text in ("", NO_SITE):
        return text or None
    return by_id_or_name(access.sites(user), text.replace("\0", "\ufffd")) or UNKNOWN_SITE


def at_site(rows, site, path=""):
    """Filter `rows` to the chargers at `site`: a `Site`, NO_SITE, UNKNOWN_SITE, or None for all chargers.

    `path` leads from a row to its charger.
    """
    if site is None:
        return rows
    if site == UNKNOWN_SITE:
        return rows.none()
    return rows.filter(**{f"{path}site": None if site == NO_SITE else site})


def counts(user, site=None):
    """Return {state: number of chargers}, with `connected` and `total`, of the chargers `at_site`."""
    rows = at_site(chargers(user), site)
    return summed(dict(rows.order_by().values_list("state").annotate(Count("pk"))))


def summed(counted):
    """Return {state: number of chargers} of {index of the state: number}, with `connected` and `total`."""
    numbers = {name: counted.get(state, 0) for state, name in enumerate(STATES)}
    total = sum(numbers.values())
    connected = total - numbers["offline"] - numbers["never connected"]
    return numbers | {"total": total, "connected": connected}


def few_connectors():
    """Return one connector more per charger than the grid shows, faulted ones first.

    The limit exists because some chargers report thousands of connectors.
    """
    is_faulted = Case(When(status="Faulted", then=Value(0)), default=Value(1))
    return Connector.objects.order_by(is_faulted, "evse_id", "connector_id")[: MAX_CONNECTORS + 1]


def charging(user):
    """Return ongoing transactions with power flow: the charger is online, and the status of the connector and the
    charging state allow it."""
    active = Charger.objects.filter(ONLINE, last_seen__gte=datetime.now(UTC) - SILENT)
    has_no_power = Exists(_connector_of_transaction().filter(status__in=NO_POWER))
    ongoing = Transaction.objects.ongoing().filter(~has_no_power, charger__in=active, superseded_by=None)
    return within(user, ongoing.exclude(charging_state__in=(*CHARGING_STATES[1:], *NO_POWER_STATES)))


def _connector_of_transaction():
    place = {name: OuterRef(name) for name in ("charger", "evse_id", "connector_id")}
    return Connector.objects.filter(**place)


def mark_charging(user, sessions):
    """Set `is_charging` and `is_stuck` of `sessions`: stuck if the connector is free and the stop is missing."""
    keys = [session.pk for session in sessions if session.is_under_way]
    # An Idle transaction of 2.0.1 began before a cable was plugged in, or goes on after it was unplugged.
    free = Exists(_connector_of_transaction().filter(status="Available"))
    stuck = Transaction.objects.filter(free, pk__in=keys).exclude(charging_state="Idle")
    flowing, stuck = (set(rows.values_list("pk", flat=True)) for rows in (charging(user).filter(pk__in=keys), stuck))
    for session in sessions:
        session.is_charging, session.is_stuck = session.pk in flowing, session.pk in stuck
    return sessions


def power_now(user, site=None):
    """Return the power in W, from the latest readings of ongoing transactions, of the chargers `at_site`."""
    return at_site(charging(user), site, "charger__").aggregate(power=Sum("power_latest"))["power"] or 0


# --- minute by minute ------------------------------------------------------------------------


def energy_today(now, zone):
    """Return the Wh charged since midnight in `zone`, without transactions that started over a week before it."""
    midnight, next_midnight = day_bounds(now.astimezone(zone).date(), zone)
    with connection.cursor() as cursor:
        cursor.execute(sql.TODAY, {"midnight": midnight, "next_midnight": next_midnight})
        return cursor.fetchone()[0]


def minute_of_today(now, zone):
    """Return the newest `FleetMinute` of the day of `now` in `zone`, or None.

    A row of the day before has the energy of that day.
    """
    midnight, _ = day_bounds(now.astimezone(zone).date(), zone)
    return FleetMinute.objects.filter(at__gte=midnight).first()


class AllChargersUser:
    """Stand-in for a user with access to all chargers."""

    is_authenticated = True

    @staticmethod
    def has_perm(permission):
        return True


def note_minute(now=None):
    """Store the state of the fleet as the minute of `now` (default: the current time)."""
    now = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
    numbers = counts(AllChargersUser)
    FleetMinute.objects.update_or_create(
        at=now,
        defaults={
            "connected": numbers["connected"],
            "charging": numbers["charging"],
            "faulted": numbers["faulted"],
            "power_w": power_now(AllChargersUser),
            "energy_today_wh": energy_today(now, display_zone()),
        },
    )
