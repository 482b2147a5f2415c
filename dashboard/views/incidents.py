"""Pages of incidents: the list, and one incident with its history and what users can do."""

from django.contrib import messages
from django.contrib.auth.models import User
from django.db.models import Case, Value, When
from django.http import Http404
from django.shortcuts import redirect
from django.utils.translation import gettext

from chargers.api.filters import IncidentFilter
from chargers.error_codes import explain
from chargers.models.incidents import CLOSED, KINDS, SEVERITIES, STATES
from chargers.services import access, incidents
from core.http.errors import Conflict
from dashboard.views.base import Listing, Page

MAX_USERS = 200  # offered for an assignment
MAX_NOTE = 4000  # characters
# Open incidents first, then acknowledged ones.
BY_STATE = Case(*(When(state=state, then=Value(rank)) for rank, state in enumerate(STATES)))


class Incidents(Listing):
    permission_required = "chargers.view_incident"
    template_name = "dashboard/incidents.html"
    live_template = "dashboard/incidents_live.html"
    kinds = ("incident",)
    filterset_class = IncidentFilter

    def rows(self):
        rows = incidents.visible(self.request.user).order_by(BY_STATE, "-id")
        return rows if self.request.GET.get("state") else rows.exclude(state=CLOSED)

    def get_context_data(self, **kwargs):
        return super().get_context_data(**kwargs) | {
            "kinds": KINDS,
            "severities": SEVERITIES,
            "states": STATES,
            "sites": access.sites(self.request.user),
            "may_change": self.request.user.has_perm("chargers.change_incident"),
            "may_see_rules": self.request.user.has_perm("chargers.view_notificationrule")
            and access.reaches_every_charger(self.request.user),
        }


class IncidentPage(Page):
    """One incident. POST does what the button says: acknowledge, assign, note or close."""

    permission_required = "chargers.view_incident"
    template_name = "dashboard/incident.html"
    live_template = "dashboard/incident_live.html"
    kinds = ("incident",)

    def get_context_data(self, pk, **kwargs):
        user, incident = self.request.user, self.find(pk)
        self.charger = incident.charger
        may_change = user.has_perm("chargers.change_incident")
        return super().get_context_data(**kwargs) | {
            "incident": incident,
            "explanation": explain(incident),
            "entries": incident.entries.all(),
            "may_change": may_change and incident.state != CLOSED,
            "may_note": may_change,
            "users": self._users() if may_change and not self.is_live else (),
        }

    def find(self, pk):
        incident = incidents.visible(self.request.user).filter(pk=pk).first()
        if incident is None:
            raise Http404(gettext("There is no incident {number}.").format(number=pk))
        return incident

    def _users(self):
        """Return names of users; only those who reach every charger may see them."""
        if not access.reaches_every_charger(self.request.user):
            return ()
        names = User.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)
        return names[:MAX_USERS]

    def post(self, request, pk):
        if not request.user.has_perm("chargers.change_incident"):
            self.permission_required = "chargers.change_incident"
            return self.handle_no_permission()
        incident = self.find(pk)
        try:
            self._do(request.POST.get("do", ""), incident)
        except Conflict:
            messages.info(request, gettext("This incident is closed."))
        if request.POST.get("next") == "list":
            return redirect("dashboard:incidents")
        return redirect("dashboard:incident", pk)

    def _do(self, what, incident):
        user = self.request.user
        who = user.get_username()
        if what == "acknowledge":
            incidents.acknowledge(incident, who)
        elif what == "take":
            incidents.assign(incident, user, who)
        elif what == "assign":
            self._assign(incident, self.request.POST.get("user", ""), who)
        elif what == "note":
            text = self.request.POST.get("text", "").replace("\0", "\ufffd").strip()[:MAX_NOTE]
            if text:
                incidents.note(incident, text, who)
        elif what == "close":
            incidents.close(incident, who)

    def _assign(self, incident, name, who):
        user = User.objects.filter(username=name).first() if name else None
        if name and not (user and incidents.may_be_assigned(user, incident)):
            text = gettext("There is no user {name} who may see this incident.").format(name=name)
            messages.error(self.request, text)
            return
        incidents.assign(incident, user, who)
