"""The page of a schedule: its next runs, and what can be changed."""

from collections import defaultdict

from django.contrib import messages
from django.db import transaction
from django.shortcuts import redirect
from django.utils.timezone import localtime
from django.utils.translation import gettext

from commands.models import Batch, Schedule
from commands.services.schedules import upcoming
from core.ocpp.redaction import HIDDEN
from dashboard import submission
from dashboard.templatetags.dashboard import as_json
from dashboard.views.base import Page, form_values
from dashboard.views.batches import FILTERS, OwnedByRequester, selection, spread_seconds, timing

MAX_RUNS, MAX_BATCHES = 5, 10  # on the page
SELECTION = ("chargers_listed", "everyone", *(f"of_{name}" for name in FILTERS))
TIMING = ("when", "when_at", "when_every", "when_crontab", "timezone")


class SchedulePage(OwnedByRequester, Page):
    """POST changes, enables, disables, deletes or runs the schedule, as `do` says."""

    template_name = "dashboard/schedule.html"

    def get_permission_required(self):
        return ["commands.view_command" if self.request.method in ("GET", "HEAD") else "commands.add_command"]

    def get_context_data(self, schedule=None, values=None, error=None, **kwargs):
        schedule = schedule or self.find(Schedule.objects.all(), self.kwargs["pk"])
        return super().get_context_data(**kwargs) | {
            "schedule": schedule,
            "runs": upcoming(schedule, MAX_RUNS),
            "batches": self.own(Batch.objects.filter(schedule=schedule))[:MAX_BATCHES],
            "values": defaultdict(str, values or shown(schedule)),
            "filters": FILTERS,
            "error": error,
            "may_command": self.request.user.has_perm("commands.add_command"),
        }

    def post(self, request, pk):
        schedule = self.find(Schedule.objects.all(), pk)
        do = request.POST.get("do", "switch")
        if do == "delete":
            with transaction.atomic():
                schedule.delete()
            messages.success(request, gettext("Deleted."))
            return redirect("dashboard:batches")
        values = form_values(request)
        try:
            if do == "run":
                return redirect("dashboard:batch", submission.run_schedule(request.user, schedule).pk)
            body = self._changes(schedule, values) if do == "save" else {"is_enabled": not schedule.is_enabled}
            submission.change_schedule(request, schedule, body)
        except submission.Refused as refused:
            former = self.find(Schedule.objects.all(), pk)
            context = self.get_context_data(former, values if do == "save" else None, refused)
            return self.render_to_response(context, status=refused.status)
        messages.success(request, gettext("Changes saved."))
        return redirect("dashboard:schedule", pk)

    @staticmethod
    def _changes(schedule, values):
        """Return the body of a PATCH: what differs from the values that the form was shown with."""
        former, body = shown(schedule), {}

        def differs(*names):
            return any(values.get(name, "") != former.get(name, "") for name in names)

        if differs("schedule_name"):
            body["name"] = values.get("schedule_name", "")
        if differs(*SELECTION):
            body |= {"chargers": None, "filter": None} | selection(values)
        if differs("only_connected"):
            body["only_connected"] = "only_connected" in values
        if differs("spread_minutes"):
            body["spread_seconds"] = spread_seconds(values)
        if differs("answer_within"):
            body["timeout"] = values.get("answer_within") or None
        if differs(*TIMING):
            zone = {"timezone": values.get("timezone", "")} if values.get("when") == "crontab" else {}
            unset = {"at": None, "every_seconds": None, "crontab": ""}
            times = timing({"when": "at"} | values)
            times.pop("name")
            body |= unset | times | zone
        if differs("written"):
            kind = "intent" if schedule.intent else "action"
            body |= {kind: schedule.command_name, "payload": _payload(values)}
        return body


def _payload(values):
    text = values.get("written", "")
    if HIDDEN in text:
        raise submission.Refused(
            gettext("Replace the hidden values, or leave the payload as it was."), 400, "written"
        )
    with submission.refusing():
        return submission.written_payload(text or "{}")


def shown(schedule):
    """Return the values of the form, {name: text}; a box that is not checked has none."""
    values = {
        "schedule_name": schedule.name,
        "chargers_listed": "\n".join(schedule.chosen.get("chargers") or ()),
        "spread_minutes": f"{schedule.spread_seconds / 60:g}",
        "answer_within": "" if schedule.timeout is None else f"{schedule.timeout:g}",
        "when": "at" if schedule.at else "every" if schedule.every_seconds else "crontab",
        "when_at": localtime(schedule.at).isoformat() if schedule.at else "",
        "when_every": f"{schedule.every_seconds / 60:g}" if schedule.every_seconds else "",
        "when_crontab": schedule.crontab,
        "timezone": str(schedule.timezone),
        "written": as_json(schedule.payload),
    }
    chosen = schedule.chosen.get("filter")
    values |= {f"of_{name}": str(value) for name, value in (chosen or {}).items() if name in FILTERS}
    values |= {"everyone": "on"} if chosen == {} else {}
    return values | ({"only_connected": "on"} if schedule.only_connected else {})
