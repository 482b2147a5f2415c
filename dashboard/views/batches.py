"""Pages of batches: one command to many chargers, now, later, or again and again."""

from collections import defaultdict

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.db.models import Q
from django.http import Http404
from django.shortcuts import redirect

from chargers.access import reaches_every_charger
from chargers.models import ChargerGroup
from commands import batches
from commands.actions.table import ACTIONS
from commands.filters import MemberFilter
from commands.models import OUTCOMES, Batch, Schedule
from commands.models.batch import SHOWN
from core.http.zone import written
from dashboard import fleet, submission
from dashboard.forms import fields_of
from dashboard.views.base import Listing, Page, filled_in, said

MOST_LISTED = 2000  # chargers that a form is filled in with
FILTERS = ("group", "vendor", "model", "firmware_version", "search")


class OwnedByRequester:
    """Of who asked for it, and of those who may reach every charger: it tells of chargers of many groups."""

    def own(self, rows):
        user = self.request.user
        return rows if reaches_every_charger(user) else rows.filter(requested_by=user.get_username())

    def found(self, rows, pk):
        row = self.own(rows).filter(pk=pk).first()
        if row is None:
            raise Http404("There is no such batch or schedule.")
        return row


class Batches(OwnedByRequester, Listing):
    permission_required = "commands.view_command"
    template_name = "dashboard/batches.html"
    live_template = "dashboard/batches_live.html"
    kinds = ("command",)
    per_page = 25

    def rows(self):
        return self.own(Batch.objects.select_related("schedule"))

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        for batch in context["page"].object_list:
            batch.counts = batch.progress()  # counted once
        may_command = self.request.user.has_perm("commands.add_command")
        return context | {
            "schedules": self.own(Schedule.objects.all()),
            "actions": ACTIONS,
            "may_command": may_command,
        }


class BatchPage(OwnedByRequester, Listing):
    """How far it is, and what came of each charger."""

    permission_required = "commands.view_command"
    template_name = "dashboard/batch.html"
    live_template = "dashboard/batch_live.html"
    kinds = ("command",)
    filterset_class = MemberFilter
    per_page = 100

    def rows(self):
        return self.within(self.batch.members.select_related("charger", "command"))

    def get_context_data(self, pk, **kwargs):
        self.batch = self.found(Batch.objects.select_related("schedule"), pk)
        self.batch.counts = self.batch.progress()
        may_cancel = self.request.user.has_perm("commands.add_command") and not self.batch.cancelled_at
        return super().get_context_data(**kwargs) | {
            "batch": self.batch,
            "payload": self.batch.payload,
            "may_cancel": may_cancel and not self.batch.finished_at,
            "states": SHOWN,
            "outcomes": OUTCOMES,
        }


class CancelBatch(OwnedByRequester, Page):
    permission_required = "commands.add_command"
    http_method_names = ["post"]

    def post(self, request, pk):
        batch = self.found(Batch.objects.all(), pk)
        called_off = batches.cancel_batch(batch, request.user.get_username())
        messages.info(request, "Cancelled: what was sent goes on." if called_off else "It was over already.")
        return redirect("dashboard:batch", pk)


class NewBatch(Page):
    """A form: whom to ask, for what, and when. POST leads to the batch, or to the schedules."""

    permission_required = "commands.add_command"
    template_name = "dashboard/new_batch.html"

    def get_context_data(self, action, told=None, error=None, **kwargs):
        submission.known(action)
        told = self._from_the_fleet() | self.request.GET.dict() if told is None else told
        fields = fields_of(action, told, error)
        return super().get_context_data(**kwargs) | {
            "action": action,
            "actions": ACTIONS,
            "fields": fields,
            "told": defaultdict(str, told),
            "groups": self._groups(),
            "error": error if error and error.field not in {f.name for f in fields if f.error} else None,
        }

    def _from_the_fleet(self):
        """The list of those that the fleet's page showed, narrowed as it was."""
        wanted = said(self.request.GET)
        if not {"search", "state"} & wanted.keys():
            return {}
        rows = fleet.narrowed(self.request.user, wanted.get("search", ""), wanted.get("state", ""))
        listed = list(rows.values_list("charger_id", flat=True)[: MOST_LISTED + 1])
        if len(listed) > MOST_LISTED:
            messages.info(
                self.request, f"These are more than {MOST_LISTED:,}: choose them by what they have in common."
            )
            return {}
        return {"chargers_listed": "\n".join(listed)}

    def _groups(self):
        """Those that name the user, or a role of theirs; all to who may reach every charger."""
        user, groups = self.request.user, ChargerGroup.objects.all()
        return (
            groups if reaches_every_charger(user) else groups.filter(Q(users=user) | Q(roles__user=user)).distinct()
        )

    def post(self, request, action):
        submission.known(action)
        told = filled_in(request)
        try:
            body = _body(action, told)
            if told.get("when", "now") == "now":
                _refuse_contradiction(told)
                return redirect("dashboard:batch", submission.submit_batch(request.user, body).pk)
            made = submission.schedule(request, body | _when(told))
        except submission.Refused as refused:
            context = self.get_context_data(action, told, refused)
            return self.render_to_response(context, status=refused.status)
        messages.info(request, f"{made.name} is planned, first for {written(made.next_run_at)}.")
        return redirect("dashboard:batches")


def _body(action, told):
    """What the form told, as the API takes it."""
    with submission.refusing():
        payload = submission.payload(action, told, told.get("written", ""))
    body = {"action": action, "payload": payload, "spread_seconds": _seconds(told), **_whom(told)}
    if told.get("answer_within"):
        body["timeout"] = told["answer_within"]
    return body | {"only_connected": "only_connected" in told}


def _whom(told):
    """A list, a filter, or everyone: one of them."""
    listed = [line.strip() for line in told.get("chargers_listed", "").splitlines() if line.strip()]
    chosen = {name: told[f"of_{name}"] for name in FILTERS if told.get(f"of_{name}")}
    ways = [bool(listed), bool(chosen), "everyone" in told]
    if sum(ways) != 1:
        more = "One way to choose is enough" if any(ways) else "Nobody is chosen"
        raise submission.Refused(f"{more}: give a filter, or a list, or ask every charger.", 400, "Which chargers")
    return {"chargers": listed} if listed else {"filter": chosen}


def _seconds(told):
    minutes = told.get("spread_minutes") or "0"
    try:
        return round(float(minutes) * 60)
    except (ValueError, OverflowError) as error:
        raise submission.Refused(f"{minutes} is no number of minutes.", 400, "spread_minutes") from error


def _refuse_contradiction(told):
    """Whoever wrote when meant later."""
    if any(told.get(name) for name in ("when_at", "when_every", "when_crontab", "schedule_name")):
        raise submission.Refused("It says now, and a time or a name for later: choose one of them.", 400, "When")


def _when(told):
    """Of a schedule: its name, and one of the three ways to say when."""
    when = {"at": "at", "every": "every_seconds", "crontab": "crontab"}.get(told["when"], "at")
    value = told.get(f"when_{told['when']}", "")
    if when == "every_seconds" and value.isdecimal() and len(value) < 10:
        value = int(value) * 60
    zone = {"timezone": settings.TIME_ZONE_DISPLAY} if when == "crontab" else {}
    return {"name": told.get("schedule_name", ""), when: value, **zone}


class ChangeSchedule(OwnedByRequester, Page):
    """POST switches a schedule on or off, or deletes it."""

    permission_required = "commands.add_command"
    http_method_names = ["post"]

    @transaction.atomic
    def post(self, request, pk):
        schedule = self.found(Schedule.objects.select_for_update(of=("self",)), pk)
        if request.POST.get("do") == "delete":
            schedule.delete()
        else:
            schedule.is_enabled = not schedule.is_enabled
            schedule.save()
        return redirect("dashboard:batches")
