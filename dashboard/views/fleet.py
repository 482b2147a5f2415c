"""The page at /: all chargers, those that need attention first."""

from datetime import UTC, datetime, timedelta
from itertools import groupby

from django.db.models import F, Prefetch
from django.http import JsonResponse
from django.views.generic import View

from chargers.services import access, refusals
from chargers.services.access import reaches_every_charger
from core.ocpp.timestamps import display_zone
from dashboard import fleet, sites
from dashboard.models import FleetMinute
from dashboard.views.base import Listing, Page

CURVES_PERIOD = timedelta(hours=24)
GAP_S = 180


class Fleet(Listing):
    permission_required: str | tuple[str, ...] = "chargers.view_charger"
    template_name = "dashboard/fleet.html"
    live_template = "dashboard/fleet_live.html"
    kinds = ("charger", "connector", "transaction")
    per_page = 60

    @property
    def by_site(self):
        """Return whether the chargers are grouped by site."""
        return self.request.GET.get("group") == "site"

    def rows(self):
        query = self.request.GET
        rows = fleet.narrowed(self.request.user, query.get("search", ""), query.get("state", ""), self.at)
        if self.by_site:
            rows = rows.order_by(F("site__name").asc(nulls_last=True), "state", "identity")
        return rows.prefetch_related(Prefetch("connectors", fleet.few_connectors(), "shown_connectors"))

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        user, at = self.request.user, self.at
        shown = list(context["page"].object_list)
        sessions = {}
        may_see_sessions = user.has_perm("transactions.view_transaction")
        for session in fleet.charging(user).filter(charger__in=shown).order_by("pk") if may_see_sessions else ():
            sessions.setdefault(session.charger_id, []).append(session)
        reaches_all = reaches_every_charger(user)
        names = dict(access.sites(user).order_by("name").values_list("pk", "name"))
        tiles = [tile(charger, sessions.get(charger.pk, []), names) for charger in shown]
        return context | {
            "tiles": tiles,
            "tiles_by_site": grouped(tiles, self.by_site),
            "counts": fleet.counts(user, at),
            "power": fleet.power_now(user, at) if may_see_sessions else None,
            "energy": self._energy(may_see_sessions, reaches_all),
            "sites": names,
            "may_place": user.has_perm("chargers.change_charger"),
            "at": at,
            "no_site": fleet.NO_SITE,
            "by_site": self.by_site,
            "refused": 0 if self.is_live else refusals.visible(user).count(),
            "may_add": user.has_perm("chargers.add_charger") and (reaches_all or bool(names)),
            "states": fleet.STATES,
            "reaches_all": reaches_all,
            "state": self.request.GET.get("state", ""),
            "search": self.request.GET.get("search", ""),
        }

    def _energy(self, may_see_sessions, reaches_all):
        """Return the Wh charged since midnight at the site, or by all chargers as of the last minute, or None."""
        if self.site:
            return sites.energy_today([self.site]).get(self.site.pk, 0) if may_see_sessions else None
        minute = fleet.minute_of_today(datetime.now(UTC), display_zone()) if reaches_all and not self.at else None
        return minute.energy_today_wh if minute else None


def grouped(tiles, by_site):
    """Return [((primary key, name) of a site or None, its tiles)] of sorted tiles, or all tiles in one group."""
    if not by_site:
        return [(None, tiles)] if tiles else []
    return [(site, list(of_site)) for site, of_site in groupby(tiles, key=lambda each: each["site"])]


def tile(charger, sessions, names):
    """Return what the grid shows of a charger; `names` are those of the sites that the user may see."""
    charger.state_word = fleet.STATES[charger.state]
    reported = charger.shown_connectors
    connectors = sorted(reported[: fleet.MAX_CONNECTORS], key=lambda row: (row.evse_id, row.connector_id))
    charging = {(session.evse_id, session.connector_id) for session in sessions}
    for connector in connectors:
        is_charging = connector.status == "Occupied" and (connector.evse_id, connector.connector_id) in charging
        connector.shown_status = fleet.CHARGING_STATES[0] if is_charging else connector.status
    faulted = [c for c in connectors if c.status == "Faulted"] if charger.state == fleet.FAULTED else []
    return {
        "charger": charger,
        "site": (charger.site_id, names[charger.site_id]) if charger.site_id in names else None,
        "connectors": [c for c in connectors if c.connector_id or c.status == "Faulted"],
        "has_more": len(reported) > len(connectors),
        "faulted": faulted,
        "sessions": sessions,
        "power": sum(s.power_latest or 0 for s in sessions),
        "energy": sum(s.energy_wh or 0 for s in sessions),
        "since": min((s.start_time for s in sessions), default=None),
        "soc": next((s.soc_latest for s in sessions if s.soc_latest is not None), None),
    }


class FleetCurves(Page, View):
    """{at: [seconds since 1970], …}: the last 24 hours by minute; null where minutes are missing."""

    permission_required = "chargers.view_charger"

    def get(self, request):
        curves = {"at": [], "power": [], "energy": [], "connected": []}
        if reaches_every_charger(request.user):
            minutes = FleetMinute.objects.filter(at__gte=datetime.now(UTC) - CURVES_PERIOD).order_by("at")
            for minute in minutes:
                at = round(minute.at.timestamp())
                if curves["at"] and at - curves["at"][-1] > GAP_S:
                    _add(curves, at - 60, None, None, None)
                _add(curves, at, minute.power_w / 1000, minute.energy_today_wh / 1000, minute.connected)
        return JsonResponse(curves)


def _add(curves, *values):
    for curve, value in zip(curves.values(), values, strict=True):
        curve.append(value)
