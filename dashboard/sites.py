"""The sites with the state of their chargers, their power, their energy of today and their open sessions."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.db.models import Count, Q, Sum

from chargers.models import Charger, Site
from chargers.services import access
from core.db import bulk_sql
from core.ocpp.timestamps import day_bounds
from dashboard import fleet, sql
from transactions.models import Transaction

SEARCHED = ("name", "address", "contacts")
TROUBLE = (fleet.FAULTED, fleet.REFUSED, fleet.OFFLINE)  # the worst first
# The state of a site without trouble is the first of these that one of its chargers is in.
USUAL = (fleet.CHARGING, fleet.IN_USE, fleet.FREE, fleet.UNAVAILABLE, fleet.NEVER)


@dataclass
class SiteState:
    """A site with {index of a state: number of its chargers}; `figures` adds the rest."""

    site: Site
    by_state: dict[int, int] = field(default_factory=dict)
    power_w: float = 0
    energy_today_wh: int = 0
    open_sessions: int = 0

    @property
    def total(self):
        return sum(self.by_state.values())

    @property
    def state(self):
        """Return the worst state of its chargers, "" if it has none."""
        return next((fleet.STATES[state] for state in (*TROUBLE, *USUAL) if self.by_state.get(state)), "")

    @property
    def in_trouble(self):
        """Return how many of its chargers are faulted, not accepted or offline."""
        return sum(self.by_state.get(state, 0) for state in TROUBLE)

    @property
    def states(self):
        """Return (name of a state, number of chargers), those that need attention first."""
        return [(fleet.STATES[state], number) for state, number in sorted(self.by_state.items())]

    @property
    def now(self):
        """Return the local time."""
        return datetime.now(self.site.time_zone)

    @property
    def order(self):
        """Return the key to sort by: the worst trouble, then the number of chargers with it, then the name."""
        worst = next((n for n, state in enumerate(TROUBLE) if self.by_state.get(state)), len(TROUBLE))
        number = self.by_state.get(TROUBLE[worst], 0) if worst < len(TROUBLE) else 0
        return worst, -number, self.site.name.lower()


def overview(user, search=""):
    """Return the `SiteState` of each site that `user` may see and that has each word of `search`, trouble first."""
    sites = access.sites(user)
    for word in fleet.words(search):
        sites = sites.filter(Q(*[(f"{column}__icontains", word) for column in SEARCHED], _connector=Q.OR))
    states = {site.pk: SiteState(site) for site in sites}
    counted = fleet.chargers(user).filter(site__in=[*states]).order_by().values_list("site", "state")
    for site, state, number in counted.annotate(Count("pk")):
        states[site].by_state[state] = number
    return sorted(states.values(), key=lambda state: state.order)


def add_figures(user, states):
    """Set the power, the energy since the midnight of each site and the open sessions of `states`."""
    by_site = {state.site.pk: state for state in states}
    powers = fleet.charging(user).filter(charger__site__in=[*by_site]).order_by().values_list("charger__site")
    for site, power in powers.annotate(Sum("power_latest")):
        by_site[site].power_w = power or 0
    for site, number in open_sessions(user, [*by_site]).items():
        by_site[site].open_sessions = number
    for site, energy in energy_today([state.site for state in states]).items():
        by_site[site].energy_today_wh = energy
    return states


def open_sessions(user, sites):
    """Return {primary key of a site: number of ongoing transactions}, without sites that have none."""
    rows = Transaction.objects.ongoing().filter(superseded_by=None, charger__site__in=sites)
    return dict(access.within(user, rows).order_by().values_list("charger__site").annotate(Count("pk")))


def energy_today(sites, now=None):
    """Return {primary key of a site: Wh charged since midnight in its zone}, without sites that charged nothing."""
    now = now or datetime.now(UTC)
    days = []
    for site in sites:
        midnight, next_midnight = day_bounds(now.astimezone(site.time_zone).date(), site.time_zone)
        days.append({"site": site.pk, "midnight": midnight, "next_midnight": next_midnight})
    if not days:
        return {}
    first, last = min(day["midnight"] for day in days), max(day["next_midnight"] for day in days)
    return dict(bulk_sql.query(sql.TODAY_BY_SITE, [bulk_sql.json(days), first.isoformat(), last.isoformat()]))


def with_numbers(user):
    """Return the sites that `user` may see by name, each with `number`, how many of its chargers the user reaches."""
    reached = access.within(user, Charger.objects.exclude(site=None), "pk").order_by()
    numbers = dict(reached.values_list("site").annotate(Count("pk")))
    listed = list(access.sites(user).order_by("name"))
    for site in listed:
        site.number = numbers.get(site.pk, 0)
    return listed
