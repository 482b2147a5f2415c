"""Pages of sites: the list with the map, one site, its form, its users, and chargers that are put at sites."""

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, gettext_lazy

from chargers.models import Charger, Site
from chargers.services import access, site_files
from chargers.services.access import reaches_every_charger
from chargers.services.sites import NOT_MOVED, put, refused
from commands.services.roles import ROLES
from core.http import zone
from core.http.downloads import csv_file
from core.sentences import translated
from dashboard import fleet, sites
from dashboard.labels import LABELS
from dashboard.views import limits
from dashboard.views.base import Listing, Page, without_empty
from dashboard.views.fleet import Fleet

MAX_PROBLEMS = 100  # of a file, on the page
BASE_MAP = "Natural Earth"  # the source of `basemap.json`
# The roles that the page of a site offers to a colleague without a role: {name of the group: label}.
OFFERED_ROLES = {"Viewers": gettext_lazy("Viewer"), "Operators": gettext_lazy("Operator")}
assert ROLES.keys() >= OFFERED_ROLES.keys()


class Sites(Listing):
    """All sites, those with trouble first, beside a map of them."""

    permission_required = ("chargers.view_site", "chargers.view_charger")
    template_name = "dashboard/sites.html"
    live_template = "dashboard/sites_live.html"
    kinds = ("charger", "connector", "transaction")
    paginator_class = Paginator

    def rows(self):
        self.states = sites.overview(self.request.user, self.request.GET.get("search", ""))
        return self.states

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        user, shown = self.request.user, context["page"].object_list
        may_see_sessions = user.has_perm("transactions.view_transaction")
        if may_see_sessions:
            sites.add_figures(user, shown)
        reaches_all = reaches_every_charger(user)
        return context | {
            "may_see_sessions": may_see_sessions,
            "search": self.request.GET.get("search", ""),
            "places": [_on_map(state) for state in self.states if state.site.latitude is not None],
            "map": _map(),
            "may_add": reaches_all and user.has_perm("chargers.add_site"),
            "may_place": user.has_perm("chargers.change_charger"),
            "reaches_all": reaches_all,
        }


def _map():
    """Return the settings of the map."""
    tiles = settings.MAP_TILES_URL
    return {"tiles": tiles, "attribution": settings.MAP_TILES_ATTRIBUTION if tiles else BASE_MAP}


def _counted(site, counts):
    """Return the `SiteState` of `site` of the `fleet.counts` of its chargers."""
    return sites.SiteState(site, {state: counts[name] for state, name in enumerate(fleet.STATES) if counts[name]})


def _on_map(state):
    """Return what `map.js` shows of a site."""
    site = state.site
    return {
        "name": site.name,
        "at": [float(site.longitude), float(site.latitude)],
        "url": reverse("dashboard:site", args=[site.pk]),
        "state": state.state,
        "label": str(LABELS[state.state]) if state.state else "",
        "chargers": state.total,
        "trouble": state.in_trouble,
    }


class OfSite:
    """A page of the site `self.site`, which the user may see. Its times are in the zone of the site."""

    site = None

    def find(self, pk):
        self.site = access.sites(self.request.user).filter(pk=pk).first()
        if self.site is None:
            raise Http404(gettext("There is no site {pk}.").format(pk=pk))
        zone.use(self.site.time_zone)
        return self.site


class SitePage(OfSite, Fleet):
    """One site: its address and contacts, its figures of today, and its chargers."""

    permission_required = ("chargers.view_site", "chargers.view_charger")
    template_name = "dashboard/site.html"
    live_template = "dashboard/site_live.html"

    @property
    def at(self):
        return self.site

    def get_context_data(self, pk, **kwargs):
        site, user = self.find(pk), self.request.user
        context = super().get_context_data(**kwargs)
        may_see_sessions = user.has_perm("transactions.view_transaction")
        may_share = _may_share(user)
        return context | {
            "site": site,
            "places": [_on_map(_counted(site, context["counts"]))] if site.latitude is not None else [],
            "open_sessions": sites.open_sessions(user, [site]).get(site.pk, 0) if may_see_sessions else None,
            "map": _map(),
            "may_change": user.has_perm("chargers.change_site"),
            **({} if self.is_live or not user.has_perm("commands.view_command") else limits.of_site_page(user, site)),
            "may_delete": reaches_every_charger(user) and user.has_perm("chargers.delete_site"),
            "may_share": may_share,
            "colleagues": site.users.prefetch_related("groups").order_by("username") if may_share else (),
            "roles": site.roles.all() if may_share else (),
            "offered_roles": OFFERED_ROLES,
            "usernames": _usernames(site) if may_share and not self.is_live else (),
        }


def _may_share(user):
    """Return whether `user` may change who reaches a site."""
    return reaches_every_charger(user) and user.has_perms(["chargers.change_site", "auth.change_user"])


def _usernames(site):
    """Return the names of users who can be added to the site, as suggestions."""
    return User.objects.filter(is_active=True).exclude(sites=site).values_list("username", flat=True)[:500]


class SiteForm(forms.ModelForm):
    """The form of a site."""

    class Meta:
        model = Site
        fields = (
            "name",
            "address",
            "latitude",
            "longitude",
            "time_zone",
            "contacts",
            "power_limit_w",
            "offline_minutes",
        )
        labels = {
            "name": gettext_lazy("Name"),
            "address": gettext_lazy("Address"),
            "latitude": gettext_lazy("Latitude"),
            "longitude": gettext_lazy("Longitude"),
            "time_zone": gettext_lazy("Time zone"),
            "contacts": gettext_lazy("Contacts"),
            "power_limit_w": gettext_lazy("Power limit (W)"),
            "offline_minutes": gettext_lazy("Offline (minutes)"),
        }
        help_texts = {
            "latitude": gettext_lazy("Degrees, north is positive. Or select the place on the map."),
            "longitude": gettext_lazy("Degrees, east is positive."),
            "time_zone": gettext_lazy("Days, months and schedules of its chargers use it."),
            "contacts": gettext_lazy("One in each line."),
            "power_limit_w": gettext_lazy("Power of its grid connection."),
            "offline_minutes": gettext_lazy(
                "After which a charger without a connection is an incident. Empty: as usual."
            ),
        }
        widgets = {
            "address": forms.Textarea(attrs={"rows": 3}),
            "contacts": forms.Textarea(attrs={"rows": 3}),
            "latitude": forms.TextInput(attrs={"inputmode": "decimal"}),
            "longitude": forms.TextInput(attrs={"inputmode": "decimal"}),
        }


class SiteEditor(OfSite, Page):
    """The form of a site; POST stores it and redirects to its page."""

    template_name = "dashboard/site_form.html"

    def get_context_data(self, form=None, **kwargs):
        form = form or SiteForm(instance=self.site)
        return super().get_context_data(**kwargs) | {"form": form, "site": self.site, "map": _map()}

    def store(self):
        with transaction.atomic():
            form = SiteForm(self.request.POST, instance=self.site)
            if form.is_valid():
                return redirect("dashboard:site", form.save().pk)
        if self.site:
            self.site.refresh_from_db()
        return self.render_to_response(self.get_context_data(form=form), status=400)


class NewSite(SiteEditor):
    permission_required = ("chargers.view_site", "chargers.add_site")

    def dispatch(self, request, *args, **kwargs):
        if request.user.is_authenticated and not reaches_every_charger(request.user):
            raise PermissionDenied(gettext("Only users with access to all chargers can add or delete a site."))
        return super().dispatch(request, *args, **kwargs)

    def post(self, request):
        return self.store()


class EditSite(SiteEditor):
    permission_required = ("chargers.view_site", "chargers.change_site")

    def get(self, request, pk):
        self.find(pk)
        return super().get(request)

    def post(self, request, pk):
        self.find(pk)
        return self.store()


class DeleteSite(OfSite, Page):
    """POST deletes a site; its chargers stay, without a site."""

    permission_required = ("chargers.view_site", "chargers.delete_site")
    http_method_names = ["post"]

    def post(self, request, pk):
        site = self.find(pk)
        if not reaches_every_charger(request.user):
            raise PermissionDenied(gettext("Only users with access to all chargers can add or delete a site."))
        with transaction.atomic():
            site.delete()
        messages.info(request, gettext("{site} was deleted.").format(site=site.name))
        return redirect("dashboard:sites")


class SiteUsers(OfSite, Page):
    """POST gives a user access to a site, or ends it. A user without a role gets the chosen one."""

    permission_required = ("chargers.view_site", "chargers.change_site", "auth.change_user")
    http_method_names = ["post"]

    def post(self, request, pk):
        site = self.find(pk)
        if not reaches_every_charger(request.user):
            raise PermissionDenied(gettext("Only users with access to all chargers can change the users of a site."))
        name = request.POST.get("username", "").replace("\0", "")
        user = User.objects.filter(username=name).first()
        if user is None:
            messages.error(request, gettext("There is no user {name}.").format(name=name))
        else:
            with transaction.atomic():
                text = self._remove(site, user) if request.POST.get("do") == "remove" else self._add(site, user)
            messages.info(request, text)
        return redirect("dashboard:site", pk)

    @staticmethod
    def _remove(site, user):
        site.users.remove(user)
        return gettext("{name} is no longer a user of {site}.").format(name=user, site=site)

    def _add(self, site, user):
        site.users.add(user)
        if reaches_every_charger(user):
            return gettext("{name} has access to all chargers already.").format(name=user)
        if not (user.groups.exists() or user.user_permissions.exists()):
            role = self.request.POST.get("role")
            group = Group.objects.filter(name=role).first() if role in OFFERED_ROLES else None
            if group is None:
                text = gettext("{name} is a user of {site}, but has no role. Ask an administrator to assign one.")
                return text.format(name=user, site=site)
            user.groups.add(group)
        return gettext("{name} is a user of {site} now.").format(name=user, site=site)


class PlaceChargers(Listing):
    """Chargers that match the filters of the fleet page; POST puts the selected ones, or all, at a site."""

    permission_required = ("chargers.view_site", "chargers.view_charger", "chargers.change_charger")
    template_name = "dashboard/place.html"
    per_page = 100

    def rows(self):
        query = without_empty(self.request.GET)
        rows = fleet.narrowed(self.request.user, query.get("search", ""), query.get("state", ""), self.at)
        return rows.select_related("site").order_by("identity")

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        listed = sites.with_numbers(self.request.user)
        names = {site.pk: site.name for site in listed}
        for charger in context["page"].object_list:
            charger.state_word, charger.at_site = fleet.STATES[charger.state], names.get(charger.site_id)
        return context | {
            "sites": listed,
            "search": self.request.GET.get("search", ""),
            "state": self.request.GET.get("state", ""),
            "states": fleet.STATES,
            "at": self.at,
            "no_site": fleet.NO_SITE,
            "reaches_all": reaches_every_charger(self.request.user),
            "may_add": reaches_every_charger(self.request.user) and self.request.user.has_perm("chargers.add_site"),
        }

    def post(self, request):
        there = fleet.site_of(request.user, request.POST.get("to") or request.POST.get("site", ""))
        if there in (None, fleet.UNKNOWN_SITE):
            messages.error(request, gettext("Select a site."))
            return redirect(request.get_full_path())
        site = None if there == fleet.NO_SITE else there
        places = [(charger, site) for charger in (self.rows() if "all" in request.POST else self._ticked())]
        if refused(request.user, places):
            messages.error(request, translated(NOT_MOVED))
            return redirect(request.get_full_path())
        number = put(places)
        text = gettext("Chargers moved: {number}")
        messages.info(request, text.format(number=number))
        return redirect(request.get_full_path())

    def _ticked(self):
        keys = [int(pk) for pk in self.request.POST.getlist("charger") if pk.isdecimal() and len(pk) < 19]
        return self.within(Charger.objects.filter(pk__in=keys).select_related("site"), "pk")


class ImportSites(Page):
    """Upload a CSV file; its effect is shown first, and stored by a second POST."""

    permission_required = ("chargers.view_site", "chargers.change_charger")
    template_name = "dashboard/site_import.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {"columns": site_files.COLUMNS}

    def post(self, request):
        file = request.FILES.get("file")
        data = file.read() if file else request.POST.get("text", "").encode()
        plan = site_files.read(request.user, data)
        if not plan.problems and "store" in request.POST:
            number = site_files.carry_out(plan)
            text = gettext("Chargers moved: {number}")
            messages.info(request, text.format(number=number))
            return redirect("dashboard:sites")
        context = self.get_context_data(
            plan=plan,
            problems=plan.problems[:MAX_PROBLEMS],
            more=max(0, len(plan.problems) - MAX_PROBLEMS),
            text="" if plan.problems else data.decode("utf-8-sig"),
            is_unchanged=not (plan.new or plan.changed or plan.moved),
        )
        return self.render_to_response(context, status=400 if plan.problems else 200)


class ExportSites(Page):
    """Export the chargers with their sites as CSV, which can be imported again."""

    permission_required = ("chargers.view_site", "chargers.view_charger")

    def get(self, request):
        return csv_file("sites", site_files.COLUMNS, site_files.rows(request.user))
