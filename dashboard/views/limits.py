"""Pages of power limits: the list, one limit, the form of a new one, and the curves of a week."""

import contextlib
from collections import defaultdict
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import Http404, JsonResponse
from django.shortcuts import redirect
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.translation import gettext
from redis.exceptions import RedisError

from chargers.models import Charger
from chargers.services import access, presence
from commands.api.filters import PowerLimitFilter
from commands.api.serializers.power_limits import STATES, PowerLimitSerializer
from commands.models import PowerLimit
from commands.models.weekly import WEEK, zone_of
from commands.services import power_curves, power_limits
from commands.services.power_curves import Part
from core.http.errors import Conflict
from dashboard import jobs, submission
from dashboard.places import name_of
from dashboard.templatetags.dashboard import amount_of, charger_url, times
from dashboard.views.base import Listing, Page, form_values

KW = 1000
MAX_CHARGERS = 500  # of one form
MAX_SHOWN, MAX_CURVES = 50, 6  # limits, and curves of chargers, on the page of a site


class Limits(Listing):
    permission_required = "commands.view_command"
    template_name = "dashboard/limits.html"
    filterset_class = PowerLimitFilter
    per_page = 50

    def narrowed(self):
        """Give the filter the request, by which it finds the sites of the user."""
        query = {name: value for name, value in self.request.GET.items() if value and name in ("site", "state")}
        narrowed = self.filterset_class(query, self.rows(), request=self.request)
        return (self.rows().none() if narrowed.errors else narrowed.qs), narrowed.errors

    def rows(self):
        return power_limits.visible(self.request.user)

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {
            "sites": access.sites(self.request.user),
            "states": STATES,
            "may_command": self.request.user.has_perm("commands.add_command"),
        }


def _find(page, pk):
    limit = power_limits.visible(page.request.user).filter(pk=pk).first()
    if limit is None:
        raise Http404(gettext("There is no such power limit."))
    return limit


class LimitPage(Page):
    permission_required = "commands.view_command"
    template_name = "dashboard/limit.html"
    live_template = "dashboard/limit_live.html"
    kinds = ("command", "charger")

    def get_context_data(self, pk, **kwargs):
        limit = _find(self, pk)
        return super().get_context_data(**kwargs) | {
            "limit": limit,
            "kept": power_limits.kept([limit])[limit.pk],
            "may_command": self.request.user.has_perm("commands.add_command"),
        }


class RemoveLimit(Page):
    """Require a confirmation before a limit is removed; POST removes it."""

    permission_required = "commands.add_command"
    template_name = "dashboard/confirm.html"

    def get_context_data(self, pk, **kwargs):
        limit = _find(self, pk)
        chargers = [kept.charger for kept in power_limits.kept([limit])[limit.pk]]
        return (
            super().get_context_data(**kwargs)
            | confirmation(chargers)
            | {
                "heading": gettext("Remove limit"),
                "effect": gettext(
                    "{limit} no longer holds. Chargers that are offline clear it when they are back."
                ).format(limit=amount_of(limit)),
                "back": f"{self.request.path.removesuffix('remove/')}",
            }
        )

    def post(self, request, pk):
        limit = _find(self, pk)
        with contextlib.suppress(Conflict):  # another user has removed it
            power_limits.remove(limit, request.user.get_username())
        return redirect("dashboard:limit", pk)


def confirmation(chargers):
    """Return what `confirm.html` shows of the `chargers` of a job."""
    listed = list(chargers)
    number, online = len(listed), _number_online(listed)
    named = [str(charger) for charger in listed[: jobs.MAX_NAMED]]
    return {
        "number": number,
        "connected": online,
        "offline": number - online,
        "named": named,
        "more": max(0, number - jobs.MAX_NAMED),
        "kept": (),
        "notes": (),
    }


def _number_online(chargers):
    """Count the chargers that are connected; use the database while Redis is faulty."""
    try:
        return len(presence.connected([charger.identity for charger in chargers]))
    except RedisError:
        return sum(charger.is_online for charger in chargers)


class NewLimit(Page):
    """Form of a new limit. The first POST shows what it does, the second, confirmed one makes it."""

    permission_required = "commands.add_command"
    template_name = "dashboard/new_limit.html"

    def get_context_data(self, values=None, error=None, **kwargs):
        values = self.request.GET.dict() if values is None else values
        self.charger = self.known_charger(values["charger"]) if values.get("charger") else None
        is_new = "csrfmiddlewaretoken" not in values
        days = [day for day in range(1, 8) if is_new or f"day{day}" in values]
        site = self.charger.site if self.charger else None
        return super().get_context_data(**kwargs) | {
            "values": defaultdict(str, values),
            "error": error,
            "places": _places(self.charger) if self.charger else (),
            "sites": access.sites(self.request.user),
            "days": [(day, WEEKDAYS_ABBR[day - 1]) for day in range(1, 8)],
            "chosen_days": days,
            "zone": zone_of(site) if self.charger else settings.TIME_ZONE_DISPLAY,
        }

    def post(self, request):
        values = form_values(request)
        if "change" in values:
            return self.render_to_response(self.get_context_data(values))
        try:
            limits = self._limits(values)
            if "confirmed" in values:
                power_limits.create(limits, request.user.get_username())
                return self._made(limits)
        except submission.Refused as refused:
            return self.render_to_response(self.get_context_data(values, refused), status=refused.status)
        self.template_name = "dashboard/confirm.html"
        return self.render_to_response(self.get_context_data(values) | self._preview(limits, values))

    def _limits(self, values):
        """Return the limits that the form stands for, one for each charger that is listed; raise `Refused`."""
        listed = [line.strip() for line in values.get("chargers_listed", "").splitlines() if line.strip()]
        chargers = list(dict.fromkeys([values["charger"]] if values.get("charger") else listed))
        if bool(chargers) == bool(values.get("site")):
            raise submission.Refused(gettext("Select either a site or chargers."), 400)
        if len(chargers) > MAX_CHARGERS:
            text = gettext("At most {number} chargers can be limited at once.").format(number=MAX_CHARGERS)
            raise submission.Refused(text, 400)
        with submission.refusing():
            submission.count(self.request.user)
            bodies = [{"charger_id": charger_id} for charger_id in chargers] or [{"site": values["site"]}]
            return [self._limit(body | _columns(values)) for body in bodies]

    def _limit(self, body):
        serializer = PowerLimitSerializer(data=body, context={"request": self.request})
        serializer.is_valid(raise_exception=True)
        return PowerLimit(**serializer.validated_data)

    def _made(self, limits):
        if len(limits) == 1 and limits[0].charger is None:
            return redirect("dashboard:limit", limits[0].pk)
        if len(limits) == 1:
            return redirect(f"{charger_url('dashboard:charger', limits[0].charger.identity)}#limits")
        return redirect("dashboard:limits")

    def _preview(self, limits, values):
        first = limits[0]
        chargers = list(first.site.chargers.order_by("identity")) if first.site else [one.charger for one in limits]
        shown = confirmation(chargers)
        part = Part(first, max(1, len(chargers)) if first.site else 1)
        shown["named"] = [f"{name}: {amount_of(first, part)}" for name in shown["named"]]
        notes = [] if chargers else [gettext("The site has no chargers yet.")]
        kept = [(name, value) for name, value in values.items() if name not in ("csrfmiddlewaretoken", "confirmed")]
        return shown | {
            "heading": gettext("Limit power"),
            "effect": _effect(first),
            "kept": kept,
            "notes": notes,
            "may_change": True,
            "goes_to": self.request.path,
        }


def _effect(limit):
    text = gettext("{limit}, {times} ({zone}). Chargers that are offline get it when they are back.")
    return text.format(limit=amount_of(limit), times=times(limit), zone=limit.zone)


def _columns(values):
    """Return the members of a request to REST that the form stands for."""
    text = values.get("amount", "").strip().replace(",", ".")
    unit = values.get("unit", "A")
    amount = text
    if unit == "kW":
        try:
            amount = float(text) * KW
        except ValueError:
            amount = text
    columns = {"amount": amount, "unit": "W" if unit == "kW" else unit}
    if values.get("evse_id"):
        columns["evse_id"] = values["evse_id"]
    columns["weekdays"] = [day for day in range(1, 8) if f"day{day}" in values]
    return columns | {name: values[name] for name in ("from_time", "until_time") if values.get(name)}


def _places(charger):
    known = charger.connectors.filter(evse_id__gt=0).order_by("evse_id").values_list("evse_id", flat=True)
    has_evses = charger.version.has_evses
    numbers = sorted(set(known))
    named = [(str(number), name_of(has_evses, number, 0 if has_evses else number)) for number in numbers]
    return [("0", gettext("Whole charger")), *named]


# --- curves ------------------------------------------------------------------------------------


def of_week(parts, unit, zone, now):
    """Return the curve of the present local week: {at: [seconds since 1970], limit: [A or kW; null without one]}."""
    begin = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    begin -= timedelta(days=begin.weekday())
    steps = power_curves.week(parts, unit)
    at, limit = [], []
    ends = [*(step.minute for step in steps[1:]), WEEK]
    for step, end in zip(steps, ends, strict=True):
        value = step.limit if step.limit is None or unit == "A" else step.limit / KW
        for minute, inset_s in ((step.minute, 0), (end, 1)):
            local = (begin + timedelta(minutes=minute)).replace(tzinfo=zone)
            at.append(round(local.astimezone(UTC).timestamp()) - inset_s)
            limit.append(value)
    return {"at": at, "limit": limit}


class LimitCurve(Page):
    """The curve of one limit as a whole, in the present week."""

    permission_required = "commands.view_command"

    def get(self, request, pk):
        limit = _find(self, pk)
        return JsonResponse(of_week([Part(limit)], limit.unit, limit.zone, datetime.now(UTC)))


class ChargerLimitCurve(Page):
    """The curve of the limits of a charger (`?evse=0`) or of one of its EVSEs, in the present week."""

    permission_required = "commands.view_command"

    def get(self, request, charger_id):
        charger = self.known_charger(charger_id)
        text = request.GET.get("evse", "0")
        evse_id = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
        parts = power_limits.of_charger(charger).get(evse_id, [])
        unit = parts[0].limit.unit if parts else "A"
        if not parts:
            return JsonResponse({"at": [], "limit": []})
        return JsonResponse(of_week(parts, unit, zone_of(charger.site), datetime.now(UTC)))


class SiteLimitCurve(Page):
    """The curve of the limits of a site as a whole, in the present week."""

    permission_required = "commands.view_command"

    def get(self, request, pk):
        site = access.sites(request.user).filter(pk=pk).first()
        if site is None:
            raise Http404(gettext("There is no site {pk}.").format(pk=pk))
        parts = [Part(limit) for limit in power_limits.of_site(request.user, site).filter(site=site)]
        if not parts:
            return JsonResponse({"at": [], "limit": []})
        return JsonResponse(of_week(parts, parts[0].limit.unit, zone_of(site), datetime.now(UTC)))


def of_site_page(user, site):
    """Return what `site_limits.html` shows of `site`: its limits, those of its chargers, and the curves of these."""
    found = list(power_limits.of_site(user, site).order_by("charger__identity", "evse_id", "pk")[: MAX_SHOWN + 1])
    limits = found[:MAX_SHOWN]
    of_chargers = [limit for limit in limits if limit.charger]
    places = {(limit.charger, limit.evse_id): limit for limit in of_chargers}
    return {
        "site_limits": [limit for limit in limits if not limit.charger],
        "charger_limits": of_chargers,
        "charger_curves": list(places.values())[:MAX_CURVES],
        "has_more_limits": len(found) > MAX_SHOWN,
    }


def of_charger_page(charger: Charger):
    """Return what `charger_limits.html` shows of `charger`."""
    parts = power_limits.of_charger(charger)
    limits = [part.limit for found in parts.values() for part in found]
    kept = power_limits.kept(limits)
    shown = [one for limit in limits for one in kept[limit.pk] if one.charger.pk == charger.pk]
    has_evses = charger.version.has_evses
    curves = [
        (evse_id, "A" if found[0].limit.unit == "A" else "kW", _name(has_evses, evse_id))
        for evse_id, found in parts.items()
    ]
    return {"limits": shown, "limit_curves": curves, "limit_zone": zone_of(charger.site)}


def _name(has_evses, evse_id):
    return name_of(has_evses, evse_id, 0 if has_evses else evse_id) if evse_id else gettext("Whole charger")
