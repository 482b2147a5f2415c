"""The page of a charger: what it is, what it does now, and what may be asked of it."""

from django.shortcuts import redirect
from redis.exceptions import RedisError

from chargers import presence
from chargers.models import Charger, Message
from commands.actions.table import ACTIONS
from core.http.downloads import csv_file
from core.ocpp.redaction import HIDDEN, names_secret
from dashboard import fleet, readiness, submission
from dashboard.forms import fields_of
from dashboard.views.base import Page, filled_in

COMMANDS, SESSIONS, MESSAGES, FINDINGS = 12, 8, 50, 50  # that are shown
EXPORTED = ("action", "field", "kind", "count", "first_seen", "last_seen", "example")
# What operators do most, each a form that is filled in already: what it is called, the action, the payload.
SHORT_WAYS = (
    ("Reset (soft)", "Reset", {"type": "Soft"}),
    ("Ask for its state", "TriggerMessage", {"requestedMessage": "StatusNotification"}),
    ("Read its configuration", "GetConfiguration", {}),
    ("Unlock a connector", "UnlockConnector", {"connectorId": "1"}),
    ("Start charging", "RemoteStartTransaction", {"connectorId": "1"}),
    ("Out of service", "ChangeAvailability", {"connectorId": "0", "type": "Inoperative"}),
    ("In service", "ChangeAvailability", {"connectorId": "0", "type": "Operative"}),
)


def is_connected(charger: Charger) -> bool:
    """Whether it holds a live socket; by the books while Redis is at fault, which the page says above."""
    if any(problem.part == "redis" for problem in readiness.problems()):
        return charger.is_online
    try:
        return charger.charger_id in presence.connected([charger.charger_id])
    except RedisError:
        return charger.is_online


class ChargerPage(Page):
    permission_required = "chargers.view_charger"
    template_name = "dashboard/charger.html"
    live_template = "dashboard/charger_live.html"
    kinds = ("charger", "connector", "transaction", "command", "security")

    def get_context_data(self, charger_id, **kwargs):
        self.charger = charger = self.known_charger(charger_id)
        charger.state = fleet.chargers(self.request.user).values_list("state", flat=True).get(pk=charger.pk)
        charger.state_word = fleet.STATES[charger.state]
        user, connectors = self.request.user, list(charger.connectors.all())
        may_see_messages = user.has_perm("chargers.view_message")
        self.also_watched = "&frames=1" if may_see_messages else ""
        return super().get_context_data(**kwargs) | {
            "connected": is_connected(charger),
            "connectors": connectors,
            **(self._sessions(connectors) if user.has_perm("transactions.view_transaction") else {}),
            "commands": charger.commands.order_by("-pk")[:COMMANDS],
            **(self._findings() if user.has_perm("chargers.view_finding") else {}),
            "configuration": [masked(key) for key in charger.configuration.all()],
            "messages_kept": Message.objects.of(charger)[:MESSAGES] if may_see_messages and not self.is_live else (),
            "short_ways": SHORT_WAYS,
            "actions": ACTIONS,
            "may_command": user.has_perm("commands.add_command"),
        }

    def _findings(self):
        found = list(self.charger.findings.order_by("-count", "-last_seen")[: FINDINGS + 1])
        return {"findings": found[:FINDINGS], "more_findings": len(found) > FINDINGS}

    def _sessions(self, connectors):
        """What is shown of its sessions; each of `connectors` gets the one that is under way there."""
        last = list(self.charger.transactions.order_by("-pk")[:SESSIONS])
        under_way = self.charger.transactions.ongoing().filter(superseded_by=None).order_by("pk")
        ongoing = {session.connector_id: session for session in under_way}
        fleet.looked_at(self.request.user, [*ongoing.values(), *last])
        for connector in connectors:
            connector.session = ongoing.get(connector.connector_id)
        charging = [session for session in ongoing.values() if not session.is_stuck]
        return {"sessions": last, "plotted": charging or last[:1]}


class Findings(Page):
    """How the messages of a charger depart from OCPP, as a CSV file for its manufacturer."""

    permission_required = "chargers.view_finding"

    def get(self, request, charger_id):
        charger = self.known_charger(charger_id)
        described = [charger.vendor, charger.model, charger.firmware_version]
        rows = charger.findings.order_by("-count").values_list(*EXPORTED)
        columns = ("vendor", "model", "firmware_version", *EXPORTED)
        return csv_file("protocol-issues", columns, ([*described, *row] for row in rows))


def masked(key):
    """A configuration key as it may be shown, see `core.ocpp.redaction`."""
    key.is_secret = names_secret(key.key)
    if key.is_secret and key.value:
        key.value = HIDDEN
    return key


class AskPage(Page):
    """A command as a form; POST asks for it and leads to its page."""

    permission_required = "commands.add_command"
    template_name = "dashboard/ask.html"

    def get_context_data(self, charger_id, action, told=None, written="", error=None, **kwargs):
        self.charger = self.known_charger(charger_id)
        submission.known(action)
        told = self.request.GET.dict() if told is None else told
        fields = fields_of(action, told, error)
        shown = {field.name for field in fields if field.error}
        return super().get_context_data(**kwargs) | {
            "action": action,
            "actions": ACTIONS,
            "fields": fields,
            "connected": is_connected(self.charger),
            "written": written,
            "error": error if error and error.field not in shown else None,
        }

    def post(self, request, charger_id, action):
        charger = self.known_charger(charger_id)
        told = filled_in(request)
        written = told.pop("written", "")
        try:
            command = submission.submit(request.user, charger, action, told, written)
        except submission.Refused as refused:
            context = self.get_context_data(charger_id, action, told, written, refused)
            return self.render_to_response(context, status=refused.status)
        return redirect("dashboard:command", command.task_id)
