"""Transactions, their readings, and id tags in the admin."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from chargers.admin import ReadOnly
from transactions.models import IdTag, MeterValue, OrphanStop, Transaction

READINGS_SHOWN = 100


@admin.register(IdTag)
class IdTagAdmin(admin.ModelAdmin):
    list_display = ["id_tag", "status", "expiry_date", "parent_id_tag", "description", "created_at"]
    list_filter = ["status"]
    search_fields = ["id_tag", "parent_id_tag", "description"]
    date_hierarchy = "created_at"


class OngoingFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request, model_admin):
        return [("ongoing", "Ongoing"), ("completed", "Completed")]

    def queryset(self, request, transactions):
        if self.value() in ("ongoing", "completed"):
            return transactions.filter(stop_received_at__isnull=self.value() == "ongoing")
        return transactions


@admin.register(Transaction)
class TransactionAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["id", "charger", "connector_id", "id_tag", "status", "start_time", "stop_time", "energy_kwh"]
    list_filter = [OngoingFilter, "stop_reason", "id_tag_status"]
    search_fields = ["=id", "charger__charger_id", "id_tag"]
    list_select_related = ["charger"]
    date_hierarchy = "start_time"
    readonly_fields = ["status", "energy_kwh", "readings"]
    fieldsets = [
        (None, {"fields": ["charger", "connector_id", "id_tag", "id_tag_status", "reservation_id", "status"]}),
        ("Energy", {"fields": ["energy_kwh", "meter_start", "meter_latest", "meter_stop"]}),
        ("Start", {"fields": ["start_time", "raw_start_time", "start_received_at"]}),
        ("Stop", {"fields": ["stop_time", "raw_stop_time", "stop_received_at", "stop_reason", "stop_id_tag"]}),
        ("Readings", {"fields": ["readings"]}),
    ]

    @admin.display(description="energy (kWh)")
    def energy_kwh(self, transaction):
        return None if transaction.energy_wh is None else f"{transaction.energy_wh / 1000:.3f}"

    @admin.display(description="meter values")
    def readings(self, transaction):
        """The newest readings, and the way to all of them."""
        newest = transaction.meter_values.order_by("-id")[:READINGS_SHOWN]
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{} {}</td><td>{}</td></tr>",
            (
                (f"{r.timestamp:%Y-%m-%d %H:%M:%S}", r.measurand, r.phase, r.value[:40], r.unit, r.context)
                for r in newest
            ),
        )
        every = f"{reverse('admin:transactions_metervalue_changelist')}?transaction__id__exact={transaction.pk}"
        return format_html(
            "<table><tr><th>Time</th><th>Measurand</th><th>Phase</th><th>Value</th><th>Context</th></tr>{}</table>"
            '<p>The newest {} at most. <a href="{}">All of them</a></p>',
            rows,
            READINGS_SHOWN,
            every,
        )


@admin.register(MeterValue)
class MeterValueAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["timestamp", "charger", "connector_id", "transaction_id", "measurand", "phase", "value", "unit"]
    list_filter = ["measurand", "context"]
    list_select_related = ["charger"]
    search_fields = ["charger__charger_id", "=transaction__id"]
    date_hierarchy = "received_at"
    ordering = ["-id"]
    show_full_result_count = False

    def lookup_allowed(self, lookup, value, request=None):
        return lookup == "transaction__id__exact" or super().lookup_allowed(lookup, value, request)


@admin.register(OrphanStop)
class OrphanStopAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["received_at", "charger", "reported_transaction_id", "payload"]
    search_fields = ["charger__charger_id", "=reported_transaction_id"]
    list_select_related = ["charger"]
    date_hierarchy = "received_at"
