"""Batches and schedules in the admin: to be looked at, cancelled and switched off; they are made over REST."""

import json

from django.contrib import admin, messages
from django.urls import reverse
from django.utils.html import format_html
from rest_framework.exceptions import APIException

from chargers import schemas
from chargers.access import reaches_every_charger
from chargers.admin import Commandable, ReadOnly
from commands import batches
from commands.models import Batch, Schedule


class OwnedByRequester:
    """Of who asked for it, and of those who may reach every charger."""

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if reaches_every_charger(request.user):
            return rows
        return rows.filter(requested_by=request.user.get_username())


@admin.action(description="Cancel what was not sent", permissions=["command"])
def cancel(modeladmin, request, chosen):
    cancelled = sum(batches.cancel_batch(batch, request.user.get_username()) for batch in chosen)
    messages.success(request, f"{cancelled} cancelled; {len(chosen) - cancelled} were over, or cancelled already.")


@admin.register(Batch)
class BatchAdmin(OwnedByRequester, Commandable, ReadOnly, admin.ModelAdmin):
    list_display = ["created_at", "action", "total", "what_became_of_it", "start_at", "requested_by", "note"]
    list_filter = ["action"]
    date_hierarchy = "created_at"
    fields = ["action", "asked", "whom", "total", "spread_seconds", "start_at", "note", "schedule", "requested_by"]
    fields += ["what_became_of_it", "created_at", "cancelled_at", "cancelled_by", "finished_at"]
    readonly_fields = ["asked", "whom", "what_became_of_it"]
    list_select_related = ["schedule"]
    actions = [cancel]

    @admin.display(description="payload")
    def asked(self, batch):
        return json.dumps(batch.payload, ensure_ascii=False)

    @admin.display(description="chargers")
    def whom(self, batch):
        return json.dumps(batch.chosen, ensure_ascii=False)

    @admin.display(description="state")
    def what_became_of_it(self, batch):
        """Of one that is not over it is told where it is opened: to count is a query for each."""
        if batch.counts is None:
            return "cancelled" if batch.cancelled_at else "not over yet"
        outcomes = batch.counts["outcomes"]
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outcomes.items()) or batch.state


@admin.register(Schedule)
class ScheduleAdmin(OwnedByRequester, ReadOnly, admin.ModelAdmin):
    list_display = ["name", "action", "is_enabled", "next_run_at", "last_run_at", "note", "requested_by"]
    list_filter = ["is_enabled"]
    search_fields = ["name"]
    exclude = ["periodic_task", "payload", "chosen"]


def submit_batch(request, action, payload, chargers):
    """Ask `chargers` (a queryset) as one batch, and say where to follow it."""
    chosen = list(chargers)
    named = {"chargers": [charger.charger_id for charger in chosen]}
    try:
        batch = batches.make(action, payload, chosen, by=request.user.get_username(), chosen=named)
    except (APIException, schemas.Violation) as error:
        messages.error(request, str(error))
        return
    where = reverse("admin:commands_batch_change", args=[batch.pk])
    messages.success(request, format_html('{} asked. <a href="{}">Follow the batch</a>', batch.total, where))
