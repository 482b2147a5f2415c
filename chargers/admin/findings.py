"""Deviations of chargers' messages from OCPP, in the admin."""

from django.contrib import admin

from chargers.admin.chargers import ReadOnly, Scoped
from chargers.admin.lists import LargeTableAdmin, choices
from chargers.models import Finding
from chargers.models.findings import KINDS
from core.http.downloads import csv_file

EXPORTED = ("charger", "action", "field", "kind", "count", "first_seen", "last_seen", "example")


@admin.action(description="Export as CSV")
def export_csv(modeladmin, request, findings):
    return csv_file("findings", EXPORTED, findings.values_list("charger__identity", *EXPORTED[1:]))


@admin.register(Finding)
class FindingAdmin(LargeTableAdmin, Scoped, ReadOnly, admin.ModelAdmin):
    list_display = ["charger", "action", "field", "kind", "count", "first_seen", "last_seen", "example"]
    list_filter = [choices("kind", list(KINDS))]
    searched = {"charger": "charger"}
    list_select_related = ["charger"]
    sortable_by = ()
    date_hierarchy = "last_seen"
    actions = [export_csv]
