"""Pages of batches: one command to many chargers, immediately or on a schedule."""

from collections import defaultdict

from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import Http404
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext

from chargers.models import Charger, ChargerGroup, Site
from chargers.services import access
from chargers.services.access import own, reaches_every_charger
from commands.actions.intents import BY_NAME
from commands.actions.table import ACTIONS
from commands.api.filters import BatchItemFilter
from commands.models import OUTCOMES, Batch, BatchItem, Schedule
from commands.models.batch import SHOWN
from commands.services import batches
from core.http import zone
from core.http.zone import written
from dashboard import fleet, jobs, pickers, submission
from dashboard.labels import LABELS
from dashboard.views.base import Listing, Page, form_values, without_empty
from dashboard.views.limits import confirmation

MAX_LISTED = 2000  # chargers that a form is prefilled with
FILTERS = ("site", "group", "vendor", "model", "firmware_version", "search")


class OwnedByRequester:
    """Restrict rows to those that the user submitted, see `access.own`."""

    def own(self, rows):
        return own(self.request.user, rows)

    def find(self, rows, pk):
        row = self.own(rows).filter(pk=pk).first()
        if row is None:
            raise Http404(gettext("There is no such batch or schedule."))
        return row


class Batches(OwnedByRequester, Listing):
    permission_required = "commands.view_command"
    template_name = "dashboard/batches.html"
    live_template = "dashboard/batches_live.html"
    kinds = ("command",)
    per_page = 25

    def rows(self):
        """Return the batches, with `?site=` those with chargers that stand there."""
        rows = self.own(Batch.objects.select_related("schedule"))
        at_site = fleet.at_site(BatchItem.objects.filter(batch=OuterRef("pk")), self.at, "charger__")
        return rows.filter(Exists(at_site)) if self.at else rows

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        for batch in context["page"].object_list:
            batch.counts = batch.progress()  # queries once
        may_command = self.request.user.has_perm("commands.add_command")
        return context | {
            "schedules": self.own(Schedule.objects.all()),
            "intents": BY_NAME,
            "versions": ACTIONS,
            "may_command": may_command,
        }


class BatchPage(OwnedByRequester, Listing):
    """Progress of a batch, and the outcome of each charger."""

    permission_required = "commands.view_command"
    template_name = "dashboard/batch.html"
    live_template = "dashboard/batch_live.html"
    kinds = ("command",)
    filterset_class = BatchItemFilter
    per_page = 100

    def rows(self):
        return self.within(self.batch.items.select_related("charger", "command"))

    def get_context_data(self, pk, **kwargs):
        self.batch = self.find(Batch.objects.select_related("schedule"), pk)
        self.batch.counts = self.batch.progress()
        may_command = self.request.user.has_perm("commands.add_command")
        may_cancel = may_command and not self.batch.cancelled_at
        return super().get_context_data(**kwargs) | {
            "batch": self.batch,
            "payload": self.batch.payload,
            "may_cancel": may_cancel and not self.batch.finished_at,
            "may_repeat": may_command and self.batch.finished_at and any(batches.failed(self.batch)),
            "states": SHOWN,
            "outcomes": OUTCOMES,
        }


class CancelBatch(OwnedByRequester, Page):
    permission_required = "commands.add_command"
    http_method_names = ["post"]

    def post(self, request, pk):
        batch = self.find(Batch.objects.all(), pk)
        was_cancelled = batches.cancel_batch(batch, request.user.get_username())
        done = gettext("Batch cancelled. Commands that were already sent continue.")
        messages.info(request, done if was_cancelled else gettext("The batch had already finished."))
        return redirect("dashboard:batch", pk)


class RepeatBatch(OwnedByRequester, Page):
    """Require a confirmation before a command is sent again where it failed; POST makes the new batch."""

    permission_required = "commands.add_command"
    template_name = "dashboard/confirm.html"

    def get_context_data(self, pk, **kwargs):
        batch = self.find(Batch.objects.all(), pk)
        failed = list(batches.failed(batch))
        chargers = self.within(Charger.objects.filter(identity__in=failed), "pk").order_by("identity")
        action = batch.command_name
        return (
            super().get_context_data(**kwargs)
            | confirmation(chargers)
            | {
                "heading": gettext("Repeat {action}").format(action=LABELS.get(action, action)),
                "effect": jobs.effect(action, batch.payload),
                "back": reverse("dashboard:batch", args=[batch.pk]),
            }
        )

    def post(self, request, pk):
        batch = self.find(Batch.objects.all(), pk)
        try:
            return redirect("dashboard:batch", submission.repeat_batch(request.user, batch).pk)
        except submission.Refused as refused:
            messages.error(request, refused.message)
            return redirect("dashboard:batch", pk)


class NewBatch(Page):
    """Form with chargers, payload and schedule; POST redirects to the batch, or to the list of schedules."""

    permission_required = "commands.add_command"
    template_name = "dashboard/new_batch.html"

    def get_context_data(self, action, version="", values=None, error=None, **kwargs):
        spoken = submission.version_of(action, version)
        values = self._from_fleet_page() | self.request.GET.dict() if values is None else values
        self._use_zone_of(values.get("of_site"))
        fields = submission.fields(spoken, action, values, error)
        return super().get_context_data(**kwargs) | {
            "action": action,
            "version": None if action in BY_NAME else spoken,
            "intents": BY_NAME,
            "versions": ACTIONS,
            "fields": fields,
            "pickers": pickers.add(fields, None),
            "values": defaultdict(str, values),
            "sites": access.sites(self.request.user),
            "groups": self._groups(),
            "error": error if error and error.field not in {f.name for f in fields if f.error} else None,
        }

    def _from_fleet_page(self):
        """Return {"chargers_listed": ids} of the chargers that match the filters of the fleet page."""
        query = without_empty(self.request.GET)
        if not {"search", "state", "site"} & query.keys():
            return {}
        site = fleet.site_of(self.request.user, query.get("site", ""))
        if isinstance(site, Site) and not {"search", "state"} & query.keys():
            return {"of_site": site.name}
        rows = fleet.narrowed(self.request.user, query.get("search", ""), query.get("state", ""), site)
        listed = list(rows.values_list("identity", flat=True)[: MAX_LISTED + 1])
        if len(listed) > MAX_LISTED:
            text = gettext("More than {limit} chargers match. Select them by site, group, vendor or model instead.")
            messages.info(self.request, text.format(limit=MAX_LISTED))
            return {}
        return {"chargers_listed": "\n".join(listed)}

    def _use_zone_of(self, name):
        """Read and show times in the zone of the site `name`, if the user may see it."""
        site = access.sites(self.request.user).filter(name=name.replace("\0", "")).first() if name else None
        if site:
            zone.use(site.time_zone)

    def _groups(self):
        """Return the groups of the user and of their roles; all groups for a user with access to all chargers."""
        user = self.request.user
        return ChargerGroup.objects.all() if reaches_every_charger(user) else ChargerGroup.of(user)

    def post(self, request, action, version=""):
        spoken = submission.version_of(action, version)
        values = form_values(request)
        self._use_zone_of(values.get("of_site"))
        if "change" in values:
            return self.render_to_response(self.get_context_data(action, version, values))
        try:
            body = _body(spoken, action, values)
            if values.get("when", "now") == "now":
                _refuse_contradiction(values)
            if "confirmed" not in values:
                return self._confirm(action, body, values)
            if values.get("when", "now") == "now":
                return redirect("dashboard:batch", submission.submit_batch(request.user, body).pk)
            made = submission.schedule(request, body | timing(values))
        except submission.Refused as refused:
            context = self.get_context_data(action, version, values, refused)
            return self.render_to_response(context, status=refused.status)
        text = gettext("{name} is scheduled. First run: {time}.")
        messages.info(request, text.format(name=made.name, time=written(made.next_run_at)))
        return redirect("dashboard:batches")

    def _confirm(self, action, body, values):
        """Say what will happen to how many chargers, before it is confirmed; raise `Refused` for invalid values."""
        is_later = values.get("when", "now") != "now"
        chargers = submission.preview(self.request, body, timing(values) if is_later else {})
        self.template_name = "dashboard/confirm.html"
        kept = [(name, value) for name, value in values.items() if name not in ("csrfmiddlewaretoken", "confirmed")]
        later = gettext("It is sent by schedule. The chargers are selected then; these are those of now.")
        context = Page.get_context_data(self) | confirmation(chargers)
        context |= {
            "heading": gettext("Send {action}").format(action=LABELS.get(action, action)),
            "effect": jobs.effect(action, body["payload"]),
            "kept": kept,
            "notes": [later] if is_later else [],
            "may_change": True,
            "goes_to": self.request.path,
        }
        return self.render_to_response(context)


def _body(version, action, values):
    """Return the body of the API request that the form `values` stand for; raise `Refused`."""
    with submission.refusing():
        payload = submission.payload(version, action, values, values.get("written", ""))
    kind = "intent" if action in BY_NAME else "action"
    body = {kind: action, "payload": payload, "spread_seconds": spread_seconds(values), **selection(values)}
    if values.get("answer_within"):
        body["timeout"] = values["answer_within"]
    return body | {"only_connected": "only_connected" in values}


def selection(values):
    """Return the list or the filter of chargers; exactly one of list, filter and `everyone` must be set."""
    listed = [line.strip() for line in values.get("chargers_listed", "").splitlines() if line.strip()]
    chosen = {name: values[f"of_{name}"] for name in FILTERS if values.get(f"of_{name}")}
    ways = [bool(listed), bool(chosen), "everyone" in values]
    if sum(ways) != 1:
        text = gettext("Select chargers in exactly one way: by filters, by a list of IDs, or all chargers.")
        raise submission.Refused(text, 400, gettext("Chargers"))
    return {"chargers": listed} if listed else {"filter": chosen}


def spread_seconds(values):
    minutes = values.get("spread_minutes") or "0"
    try:
        return round(float(minutes) * 60)
    except (ValueError, OverflowError) as error:
        text = gettext("{minutes} is not a number of minutes.").format(minutes=minutes)
        raise submission.Refused(text, 400, gettext("Spread over (minutes)")) from error


def _refuse_contradiction(values):
    """Refuse an immediate start together with fields of a schedule."""
    if any(values.get(name) for name in ("when_at", "when_every", "when_crontab", "schedule_name")):
        text = gettext("To start now, clear the fields of the schedule. To schedule, select a different start.")
        raise submission.Refused(text, 400, gettext("Schedule"))


def timing(values):
    """Return the name of a schedule, and its time, interval or crontab."""
    when = {"at": "at", "every": "every_seconds", "crontab": "crontab"}.get(values["when"], "at")
    value = values.get(f"when_{values['when']}", "")
    if when == "every_seconds" and value.isdecimal() and len(value) < 10:
        value = int(value) * 60
    of_crontab = {"timezone": str(get_current_timezone())} if when == "crontab" else {}
    return {"name": values.get("schedule_name", ""), when: value, **of_crontab}
