"""Batches, campaigns and schedules in the admin, which can show them; they are created over REST or on the pages."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from rest_framework.exceptions import APIException

from chargers.admin.base import Commandable, Mixed, ReadOnly
from chargers.admin.histories import HistoryAdmin
from chargers.admin.lists import choices
from chargers.models import Charger
from chargers.services.access import own
from commands.actions.intents import BY_NAME
from commands.actions.table import NAMES
from commands.models import Batch, Campaign, CampaignItem, Schedule
from commands.models.campaign import STATES
from commands.services import batches
from commands.services.origin import Origin
from core.ocpp import schemas


class OwnedByRequester(Mixed):
    """Restrict rows to those that the user submitted, see `access.own`."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return own(request.user, super().get_queryset(request))


@admin.action(description="Cancel what was not sent", permissions=["command"])
def cancel(modeladmin: admin.ModelAdmin, request: HttpRequest, chosen: QuerySet[Batch]) -> None:
    cancelled = sum(batches.cancel_batch(batch, request.user.get_username()) for batch in chosen)
    messages.success(request, f"{cancelled} cancelled; {len(chosen) - cancelled} were finished or already cancelled.")


@admin.register(Batch)
class BatchAdmin(OwnedByRequester, Commandable, ReadOnly, admin.ModelAdmin):
    list_display = ["created_at", "command_name", "total", "shown_state", "start_at", "requested_by", "note"]
    list_filter = [choices("intent", BY_NAME), choices("action", NAMES)]
    date_hierarchy = "created_at"
    fields = ["command_name", "shown_payload", "shown_chargers", "total", "spread_seconds", "start_at", "note"]
    fields += ["schedule", "requested_by", "shown_state", "created_at", "cancelled_at", "cancelled_by", "finished_at"]
    readonly_fields = ["command_name", "shown_payload", "shown_chargers", "shown_state"]
    list_select_related = ["schedule"]
    actions = [cancel]

    @admin.display(description="payload")
    def shown_payload(self, batch: Batch) -> str:
        return json.dumps(batch.payload, ensure_ascii=False)

    @admin.display(description="chargers")
    def shown_chargers(self, batch: Batch) -> str:
        return json.dumps(batch.chosen, ensure_ascii=False)

    @admin.display(description="state")
    def shown_state(self, batch: Batch) -> str:
        """Outcomes of a finished batch. Others are not counted in the list, because each count is a query."""
        if batch.counts is None:
            return "cancelled" if batch.cancelled_at else "not finished"
        outcomes = batch.counts["outcomes"]
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outcomes.items()) or batch.state


@admin.register(Campaign)
class CampaignAdmin(OwnedByRequester, ReadOnly, admin.ModelAdmin):
    list_display = ["name", "firmware", "state", "reason", "requested_by", "created_at", "started_at", "finished_at"]
    list_filter = [choices("state", STATES)]
    list_select_related = ["firmware"]
    search_fields = ["name"]
    date_hierarchy = "created_at"
    exclude = ["chosen"]


@admin.register(CampaignItem)
class CampaignItemAdmin(HistoryAdmin):
    list_display = ["charger", "campaign", "state", "is_canary", "reason", "command", "ended_at"]
    list_filter = [choices("state", CampaignItem.STATES)]
    list_select_related = ["charger", "campaign", "command__charger"]
    search_fields = ["charger__identity", "reason"]


@admin.register(Schedule)
class ScheduleAdmin(OwnedByRequester, ReadOnly, admin.ModelAdmin):
    list_display = ["name", "command_name", "is_enabled", "next_run_at", "last_run_at", "note", "requested_by"]
    list_filter = ["is_enabled"]
    search_fields = ["name"]
    exclude = ["periodic_task", "payload", "chosen"]


def submit_batch(request: HttpRequest, intent: object, chargers: QuerySet[Charger]) -> None:
    """Submit one batch of `intent` for `chargers` (a queryset), and show a link to it."""
    chosen: batches.Chosen = {"chargers": list(chargers.values_list("identity", flat=True))}
    wanted = batches.BatchRequest(intent, chosen)
    try:
        batch = batches.submit(wanted, request.user, Origin(request.user.get_username()))
    except (APIException, schemas.Violation) as error:
        messages.error(request, str(error))
        return
    where = reverse("admin:commands_batch_change", args=[batch.pk])
    messages.success(
        request, format_html('{} chargers submitted. <a href="{}">Follow the batch</a>', batch.total, where)
    )
