"""Rows about chargers that the admin only shows: their connectors, reports, events, findings and the audit log."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from chargers.admin.base import HistoryAdmin, LargeHistoryAdmin
from chargers.admin.lists import choices
from chargers.models import (
    AuditEntry,
    ChargingLimit,
    Connector,
    DataTransfer,
    Event,
    Finding,
    Monitor,
    MonitoringEvent,
    SecurityEvent,
    VariableChange,
)
from chargers.models import events as event_models
from chargers.models import findings as finding_models
from chargers.services import audit
from core.http.downloads import csv_file

EXPORTED = ["charger", "action", "field", "kind", "count", "first_seen", "last_seen", "example"]

admin.site.register(
    Connector,
    HistoryAdmin,
    list_display=["charger", "connector_id", "status", "error_code", "info", "timestamp"],
    list_filter=["status", "error_code", "connector_id"],
    search_fields=["charger__identity", "info", "vendor_error_code"],
    date_hierarchy="received_at",
)
admin.site.register(
    SecurityEvent,
    HistoryAdmin,
    list_display=["received_at", "charger", "type", "timestamp", "tech_info"],
    list_filter=["type"],
    search_fields=["charger__identity", "tech_info"],
    date_hierarchy="received_at",
)
admin.site.register(
    VariableChange,
    LargeHistoryAdmin,
    list_display=["at", "charger", "component", "variable", "attribute", "old_value", "new_value", "source"],
    list_filter=["source"],
    search_fields=["charger__identity", "component", "variable"],
    sortable_by=["at"],
    date_hierarchy="at",
)
admin.site.register(
    Monitor,
    HistoryAdmin,
    list_display=[
        *("charger", "monitor_id", "component", "evse_id", "connector_id", "variable", "instance"),
        *("type", "value", "severity", "transaction", "source", "reported_at"),
    ],
    list_filter=["type", "severity", "source"],
    search_fields=["charger__identity", "component", "variable"],
)
admin.site.register(
    MonitoringEvent,
    LargeHistoryAdmin,
    list_display=[
        *("received_at", "charger", "component", "evse_id", "connector_id", "variable", "instance"),
        *("actual_value", "trigger", "severity", "cleared", "tech_code", "tech_info"),
    ],
    sortable_by=["received_at"],
)
admin.site.register(
    ChargingLimit,
    HistoryAdmin,
    list_display=["received_at", "charger", "evse_id", "source", "is_grid_critical", "cleared_at"],
    list_filter=["source", "is_grid_critical"],
    search_fields=["charger__identity"],
    date_hierarchy="received_at",
)
admin.site.register(
    DataTransfer,
    HistoryAdmin,
    list_display=["received_at", "charger", "vendor_id", "message_id", "status", "data"],
    list_filter=["status", "vendor_id"],
    search_fields=["charger__identity", "vendor_id", "message_id"],
    date_hierarchy="received_at",
)
admin.site.register(
    Event,
    LargeHistoryAdmin,
    list_display=["at", "charger", "kind", "body"],
    list_filter=[choices("kind", event_models.KINDS)],
    sortable_by=["at"],
    date_hierarchy="at",
)


@admin.action(description="Export as CSV")
def export_csv(modeladmin: admin.ModelAdmin, request: HttpRequest, findings: QuerySet[Finding]) -> HttpResponse:
    return csv_file("findings", EXPORTED, findings.values_list("charger__identity", *EXPORTED[1:]))


admin.site.register(
    Finding,
    LargeHistoryAdmin,
    list_display=EXPORTED,
    list_filter=[choices("kind", finding_models.KINDS)],
    sortable_by=(),
    date_hierarchy="last_seen",
    actions=[export_csv],
)


@admin.display(description="changes")
def changes(entry: AuditEntry) -> SafeString:
    """Return each change on a line of its own."""
    before, after = entry.before or {}, entry.after or {}
    lines = ((name, before.get(name, ""), after.get(name, "")) for name in {**before, **after})
    return format_html_join(mark_safe("<br>"), "{}: {} → {}", lines)


admin.site.register(
    AuditEntry,
    LargeHistoryAdmin,
    list_display=["at", "who", "address", "action", "kind", "name", changes],
    list_filter=[choices("action", audit.ACTIONS), choices("kind", audit.KINDS)],
    sortable_by=["at"],
    searched={"who": "text", "charger": "charger"},
    date_hierarchy="at",
)
