"""The page of a charger: its details, its state, and the commands that can be sent to it."""

from django.shortcuts import redirect
from django.utils.translation import gettext
from redis.exceptions import RedisError

from chargers.models import Charger, Message
from chargers.models.incidents import CLOSED
from chargers.services import access, presence
from commands.actions.table import ACTIONS, schema_of
from core.http.downloads import csv_file
from core.ocpp.redaction import HIDDEN, names_secret
from dashboard import fleet, jobs, pickers, readiness, schedules, submission
from dashboard.labels import LABELS
from dashboard.views import limits, tags
from dashboard.views.base import Page, form_values

MAX_COMMANDS, MAX_SESSIONS, MAX_MESSAGES, MAX_FINDINGS, MAX_INCIDENTS, MAX_UNKNOWN = 12, 8, 50, 50, 5, 5  # rows shown
EXPORTED = ("action", "field", "kind", "count", "first_seen", "last_seen", "example")


def is_connected(charger: Charger) -> bool:
    """Return whether the charger has a live socket; use the database while Redis is faulty."""
    if any(problem.part == "redis" for problem in readiness.problems()):
        return charger.is_online
    try:
        return charger.identity in presence.connected([charger.identity])
    except RedisError:
        return charger.is_online


class ChargerPage(Page):
    permission_required = "chargers.view_charger"
    template_name = "dashboard/charger.html"
    live_template = "dashboard/charger_live.html"
    kinds = ("charger", "connector", "transaction", "command", "security", "incident")

    def get_context_data(self, charger_id, **kwargs):
        self.charger = charger = self.known_charger(charger_id)
        charger.state = fleet.chargers(self.request.user).values_list("state", flat=True).get(pk=charger.pk)
        charger.state_word = fleet.STATES[charger.state]
        user, connectors = self.request.user, list(charger.connectors.all())
        may_see_messages = user.has_perm("chargers.view_message")
        self.also_watched = "&frames=1" if may_see_messages else ""
        return super().get_context_data(**kwargs) | {
            "connected": is_connected(charger),
            "sees_site": self._sees_site(),
            "connectors": connectors,
            **(self._sessions(connectors) if user.has_perm("transactions.view_transaction") else {}),
            "commands": charger.commands.order_by("-pk")[:MAX_COMMANDS],
            **(self._incidents() if user.has_perm("chargers.view_incident") else {}),
            **(self._findings() if user.has_perm("chargers.view_finding") else {}),
            "configuration": [masked(key) for key in self._keys()],
            "variable_count": charger.variables.count(),
            **schedules.shown(charger, user.has_perm("commands.view_command")),
            "stored_messages": Message.objects.of(charger)[:MAX_MESSAGES]
            if may_see_messages and not self.is_live
            else (),
            "jobs": [job for job in jobs.JOBS if schema_of(charger.version, job.intent)],
            **(limits.of_charger_page(charger) if user.has_perm("commands.view_command") else {}),
            "actions": ACTIONS[charger.version],
            "may_command": user.has_perm("commands.add_command"),
            **({} if self.is_live else tags.accepting(user, MAX_UNKNOWN, charger=charger)),
        }

    def _sees_site(self):
        """Return whether the user may see the page of the site of the charger."""
        user, site = self.request.user, self.charger.site_id
        return (
            site is not None and user.has_perm("chargers.view_site") and access.sites(user).filter(pk=site).exists()
        )

    def _keys(self):
        """Return the configuration keys; those from before an update to a version with components are not shown."""
        return () if self.charger.version.has_evses else self.charger.configuration.all()

    def _messages(self):
        return Message.objects.of(self.charger)[:MAX_MESSAGES]

    def _incidents(self):
        rows = list(self.charger.incidents.exclude(state=CLOSED)[: MAX_INCIDENTS + 1])
        return {"incidents": rows[:MAX_INCIDENTS], "more_incidents": len(rows) > MAX_INCIDENTS}

    def _findings(self):
        findings = list(self.charger.findings.order_by("-count", "-last_seen")[: MAX_FINDINGS + 1])
        return {"findings": findings[:MAX_FINDINGS], "more_findings": len(findings) > MAX_FINDINGS}

    def _sessions(self, connectors):
        """Return the transactions to show; set the ongoing one of each of `connectors` as its `session`."""
        last = list(self.charger.transactions.order_by("-pk")[:MAX_SESSIONS])
        under_way = self.charger.transactions.ongoing().filter(superseded_by=None).order_by("pk")
        ongoing = {(session.evse_id, session.connector_id or 0): session for session in under_way}
        fleet.mark_charging(self.request.user, [*ongoing.values(), *last])
        for connector in connectors:
            of_evse = ongoing.get((connector.evse_id, 0)) if connector.evse_id else None  # names no connector
            connector.session = ongoing.get((connector.evse_id, connector.connector_id), of_evse)
        charging = [session for session in ongoing.values() if not session.is_stuck]
        return {"sessions": last, "plotted": charging or last[:1]}


class Findings(Page):
    """Export the protocol issues of a charger as CSV for its manufacturer."""

    permission_required = "chargers.view_finding"

    def get(self, request, charger_id):
        charger = self.known_charger(charger_id)
        described = [charger.vendor, charger.model, charger.firmware_version]
        rows = charger.findings.order_by("-count").values_list(*EXPORTED)
        columns = ("vendor", "model", "firmware_version", *EXPORTED)
        return csv_file("protocol-issues", columns, ([*described, *row] for row in rows))


def masked(key):
    """Hide the value of a secret configuration key, see `core.ocpp.redaction`."""
    key.is_secret = names_secret(key.variable)
    if key.is_secret and key.value:
        key.value = HIDDEN
    return key


class SubmitPage(Page):
    """Form of a command; POST submits it and redirects to its page."""

    permission_required = "commands.add_command"
    template_name = "dashboard/submit.html"

    def get_context_data(self, charger_id, action, values=None, written="", error=None, **kwargs):
        self.charger = self.known_charger(charger_id)
        values = self.request.GET.dict() if values is None else values
        fields = submission.fields(self.charger.version, action, values, error, self.charger)
        shown = {field.name for field in fields if field.error}
        return super().get_context_data(**kwargs) | {
            "action": action,
            "fields": fields,
            "pickers": pickers.add(fields, self.charger),
            "connected": is_connected(self.charger),
            "effect": jobs.effect(action, {}) if action not in jobs.SWITCHES and action in jobs.PLAIN else "",
            "needs_confirmation": jobs.needs_confirmation(action),
            "written": written,
            "error": error if error and error.field not in shown else None,
        }

    def post(self, request, charger_id, action):
        charger = self.known_charger(charger_id)
        values = form_values(request)
        written = values.pop("written", "")
        if "change" in values:
            return self.render_to_response(self.get_context_data(charger_id, action, values, written))
        try:
            if jobs.needs_confirmation(action) and "confirmed" not in values:
                return self._confirm(charger, action, values, written)
            command = submission.submit(request.user, charger, action, values, written)
        except submission.Refused as refused:
            context = self.get_context_data(charger_id, action, values, written, refused)
            return self.render_to_response(context, status=refused.status)
        return redirect("dashboard:command", command.task_id)

    def _confirm(self, charger, action, values, written):
        """Say what the command does, before it is confirmed; raise `Refused` for invalid values."""
        payload = submission.check(charger, action, values, written)
        self.charger, self.template_name = charger, "dashboard/confirm.html"
        kept = [(name, value) for name, value in values.items() if name != "csrfmiddlewaretoken"]
        context = Page.get_context_data(self) | limits.confirmation([charger])
        context |= {
            "heading": gettext("Send {action}").format(action=LABELS.get(action, action)),
            "effect": jobs.effect(action, payload),
            "kept": [*kept, *([("written", written)] if written else [])],
            "may_change": True,
            "goes_to": self.request.path,
        }
        return self.render_to_response(context)
