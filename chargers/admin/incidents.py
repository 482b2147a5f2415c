"""Incidents and notification rules in the admin, where they can only be viewed; the pages and REST change them."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from chargers.admin.base import HistoryAdmin, ReadOnly, RequiresEveryCharger
from chargers.admin.lists import LargeTableAdmin, choices
from chargers.models import Incident, IncidentEntry, NotificationDelivery, NotificationRule
from chargers.models.incidents import KINDS, SEVERITIES, STATES


class EntriesInline(ReadOnly, admin.TabularInline):
    model = IncidentEntry
    fields = ["at", "action", "who", "text"]
    extra = 0


@admin.register(Incident)
class IncidentAdmin(HistoryAdmin):
    list_display = ["id", "kind", "charger", "severity", "state", "code", "opened_at", "recurrences", "closed_at"]
    list_filter = [choices("state", STATES), choices("kind", list(KINDS)), choices("severity", SEVERITIES)]
    search_fields = ["charger__identity", "code", "detail"]
    list_select_related = ["charger__site"]
    date_hierarchy = "opened_at"
    inlines = [EntriesInline]


class OnlyViewed(RequiresEveryCharger):
    """Rows that are changed on the pages."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(NotificationRule)
class NotificationRuleAdmin(OnlyViewed, admin.ModelAdmin):
    list_display = ["name", "is_enabled", "site", "severity", "channel", "language", "escalate_after"]
    list_filter = ["is_enabled", "channel"]
    list_select_related = ["site"]
    search_fields = ["name"]


@admin.register(NotificationDelivery)
class NotificationDeliveryAdmin(LargeTableAdmin, OnlyViewed, admin.ModelAdmin):
    list_display = ["id", "rule", "incident", "reason", "state", "attempts", "answered_status", "error", "due_at"]
    list_filter = [choices("state", NotificationDelivery.STATES), "rule"]
    sortable_by = ["id"]
    searched = {"incident": "number"}
    date_hierarchy = "due_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("rule", "incident__charger")
