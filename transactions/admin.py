"""Transactions, their readings, and id tags in the admin.

`commands.admin` registers the admins of transactions and reservations with actions that send commands.
"""

from typing import Any
from urllib.parse import quote

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from chargers.admin.base import AsSent, Commandable, HistoryAdmin, LargeHistoryAdmin, Scoped
from chargers.admin.lists import choices
from core.ocpp.timestamps import display_zone
from core.ocpp.versions import listed_values
from transactions.models import IdTag, MeterValue, Outage, Reservation, Tariff, Transaction, UnknownIdTag
from transactions.models.transactions import DOUBTS
from transactions.services import energy, export, key_codes
from transactions.services.samples import MOST

READINGS_SHOWN = 100
MAX_DIGITS = 18  # of the id of a meter value
CORRECTED = ["corrected_meter_start", "corrected_meter_stop", "corrected_stop_time", "corrected_at", "corrected_by"]
COST: list[Any] = ["total_cost", "currency", "tariff"]
METERS: list[Any] = ["meter_start", "raw_meter_start", "meter_first", "meter_latest", "meter_newest", "meter_stop"]
METERS += ["raw_meter_stop"]
VERDICTS = [*IdTag.STATUSES, "ConcurrentTx"]
STOP_REASONS = sorted(
    {*listed_values("StopTransaction", "reason"), *listed_values("TransactionEvent", "stoppedReason")}
)
MEASURANDS, CONTEXTS = (listed_values("MeterValues", name) for name in ("measurand", "context"))


def _or_with_tag(found: QuerySet[Any], rows: QuerySet[Any], search_term: str, type_column: str) -> QuerySet[Any]:
    """Add those of `rows` to `found` whose id tag has the text of a search.

    A PIN is found only by the whole of it, because a search for parts of it would tell it.
    """
    text = search_term.strip()
    if not text:
        return found
    in_text = Q(id_tag__icontains=text) & ~Q(**{type_column: key_codes.KEY_CODE})
    return found | rows.filter(in_text | Q(id_tag__iexact=text))


@admin.register(IdTag)
class IdTagAdmin(AsSent, admin.ModelAdmin):
    as_sent = ["id_tag", "parent_id_tag"]
    list_display = ["token", "type", "status", "expiry_date", "parent_id_tag", "concurrent_limit", "description"]
    list_display += ["last_authorized_at"]
    readonly_fields = ["last_authorized_at"]
    list_filter = ["status", "type", "master_pass"]
    autocomplete_fields = ["chargers", "groups"]
    search_fields = ["parent_id_tag", "description"]
    search_help_text = "By id tag, parent tag and description. A PIN is found only by the whole of it."
    date_hierarchy = "created_at"

    @admin.display(description="id tag", ordering="id_tag")
    def token(self, tag: IdTag) -> str:
        return tag.shown_id_tag

    def get_exclude(self, request: HttpRequest, tag: IdTag | None = None) -> list[str]:
        """Leave out a PIN, which may be entered but not read."""
        return ["id_tag"] if tag and tag.shown_id_tag != tag.id_tag else []

    def get_readonly_fields(self, request: HttpRequest, tag: IdTag | None = None) -> list[str]:
        """A PIN keeps its type, because with another one it would be shown."""
        return [*self.readonly_fields, *(["type"] if tag and tag.type == key_codes.KEY_CODE else [])]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[IdTag], search_term: str
    ) -> tuple[QuerySet[IdTag], bool]:
        found, has_duplicates = super().get_search_results(request, queryset, search_term)
        return _or_with_tag(found, queryset, search_term, "type"), has_duplicates


@admin.register(Tariff)
class TariffAdmin(admin.ModelAdmin):
    list_display = ["description", "currency", "energy_per_kwh", "per_minute", "per_session", "vat_percent"]
    list_filter = ["currency"]
    autocomplete_fields = ["chargers", "groups", "id_tags"]
    search_fields = ["description", "text"]


@admin.action(description="Accept as id tags", permissions=["accept"])
def accept_tags(modeladmin: admin.ModelAdmin, request: HttpRequest, unknown: QuerySet[UnknownIdTag]) -> None:
    for tag in unknown:
        try:
            tag.accept()
        except ValidationError as error:
            messages.error(request, f"{tag}: {' '.join(error.messages)}")


@admin.register(UnknownIdTag)
class UnknownIdTagAdmin(HistoryAdmin):
    list_display = ["id_tag", "type", "charger", "presented", "first_seen", "last_seen"]
    search_fields = ["id_tag", "charger__identity"]
    date_hierarchy = "last_seen"
    actions = [accept_tags]

    def has_accept_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("transactions.add_idtag")


class ReservationAdmin(Scoped, AsSent, Commandable, admin.ModelAdmin):
    as_sent = ["id_tag", "parent_id_tag"]
    list_display = ["id", "charger", "evse_id", "connector_id", "token", "status", "expiry_date", "ended_because"]
    list_filter = ["state"]
    search_fields = ["=id", "charger__identity", "parent_id_tag"]
    search_help_text = "By id, charger, id tag and parent tag. A PIN is found only by the whole of it."
    list_select_related = ["charger"]
    autocomplete_fields = ["charger"]
    date_hierarchy = "expiry_date"
    readonly_fields = ["status", "ended_because", "end_reported_at"]

    def has_change_permission(self, request: HttpRequest, reservation: Reservation | None = None) -> bool:
        return super().has_change_permission(request) and not self._held(reservation)

    def has_delete_permission(self, request: HttpRequest, reservation: Reservation | None = None) -> bool:
        return super().has_delete_permission(request) and not self._held(reservation)

    @admin.display(description="id tag", ordering="id_tag")
    def token(self, reservation: Reservation) -> str:
        return reservation.shown_id_tag

    def get_exclude(self, request: HttpRequest, reservation: Reservation | None = None) -> list[str]:
        """Leave out a PIN, which may be entered but not read."""
        return ["id_tag"] if reservation and reservation.shown_id_tag != reservation.id_tag else []

    def get_readonly_fields(self, request: HttpRequest, reservation: Reservation | None = None) -> list[str]:
        """A PIN keeps its type, because with another one it would be shown."""
        is_pin = reservation is not None and reservation.id_token_type == key_codes.KEY_CODE
        return [*self.readonly_fields, *(["id_token_type"] if is_pin else [])]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Reservation], search_term: str
    ) -> tuple[QuerySet[Reservation], bool]:
        found, has_duplicates = super().get_search_results(request, queryset, search_term)
        return _or_with_tag(found, queryset, search_term, "id_token_type"), has_duplicates

    @staticmethod
    def _held(reservation: Reservation | None) -> bool:
        """What its charger holds is changed by commands only."""
        return reservation is not None and reservation.status == Reservation.ACTIVE


class OngoingFilter(admin.SimpleListFilter):
    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("ongoing", "Ongoing"), ("completed", "Completed")]

    def queryset(self, request: HttpRequest, transactions: Any) -> QuerySet[Transaction]:
        if self.value() in ("ongoing", "completed"):
            ongoing = Q(stop_received_at=None, closed_at=None)
            return transactions.filter(ongoing if self.value() == "ongoing" else ~ongoing)
        return transactions


class SuspiciousFilter(admin.SimpleListFilter):
    title = "worth a look"
    parameter_name = "suspicious"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(why, words.capitalize()) for why, words in DOUBTS.items()]

    def queryset(self, request: HttpRequest, transactions: Any) -> QuerySet[Transaction]:
        return transactions.in_doubt(self.value()) if self.value() in DOUBTS else transactions


@admin.action(description="Close by hand", permissions=["close"])
def close_by_hand(modeladmin: admin.ModelAdmin, request: HttpRequest, transactions: QuerySet[Transaction]) -> None:
    """Close stale transactions; a real stop that is received later replaces this."""
    closed = [transaction.close(by=request.user.get_username()) for transaction in transactions]
    messages.success(request, f"{sum(closed)} closed, {len(closed) - sum(closed)} had ended already.")


def _export(kind: str, title: str) -> Any:
    @admin.action(description=title)
    def run(
        modeladmin: admin.ModelAdmin, request: HttpRequest, transactions: QuerySet[Transaction]
    ) -> HttpResponseBase | None:
        try:
            return export.response(kind, transactions, display_zone())
        except (export.TooMany, export.Occupied) as error:
            messages.error(request, str(error))
            return None

    run.__name__ = f"export_{kind}"
    return run


class TransactionAdmin(Commandable, LargeHistoryAdmin):
    list_display = ["id", "of_charger", "evse_id", "connector_id", "token", "state", "start_time", "ended_at"]
    list_display += ["energy_kwh", "energy_source"]
    list_filter = [
        OngoingFilter,
        SuspiciousFilter,
        choices("stop_reason", STOP_REASONS),
        choices("id_tag_status", VERDICTS),
        choices("energy_source", energy.SOURCES),
    ]
    sortable_by = ["id", "start_time"]
    actions = [close_by_hand, _export("csv", "Export as CSV"), _export("xlsx", "Export as XLSX")]
    searched = {"id": "number", "charger": "charger", "id_tag": "text"}
    date_hierarchy = "start_time"
    readonly_fields = ["state", "energy_kwh", "energy_source", "meter_at_start", "meter_at_end", "ended_at"]
    readonly_fields += ["token", "stop_token", "readings", "see_also", "reference", "missing_since"]
    readonly_fields += [*CORRECTED, *COST]
    fieldsets = [
        (None, {"fields": ["charger", "reference", "evse_id", "connector_id", "state", "charging_state"]}),
        (None, {"fields": ["token", "id_token_type", "id_tag_status", "reservation_id", "remote_start_id"]}),
        (None, {"fields": ["see_also"]}),
        ("Energy", {"fields": ["energy_kwh", "energy_source", "meter_at_start", "meter_at_end", "ended_at"]}),
        ("Cost", {"fields": COST}),
        ("Corrected by an operator", {"fields": [*CORRECTED, "note"]}),
        ("Meter of the charger", {"fields": METERS}),
        ("Start", {"fields": ["start_time", "raw_start_time", "start_received_at"]}),
        ("Stop", {"fields": ["stop_time", "raw_stop_time", "stop_received_at", "stop_reason", "stop_token"]}),
        ("Issues", {"fields": ["superseded_by", "missing_since", "clock_skew", "closed_at", "closed_by"]}),
        ("Readings", {"fields": ["readings"]}),
    ]

    def has_close_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("transactions.change_transaction")

    @admin.display(description="charger")
    def of_charger(self, transaction: Transaction) -> SafeString:
        page = reverse("admin:chargers_charger_change", args=[transaction.charger_id])
        return format_html('<a href="{}">{}</a>', page, transaction.charger)

    @admin.display(description="id tag")
    def token(self, transaction: Transaction) -> str:
        return transaction.shown_id_tag

    @admin.display(description="stop id tag")
    def stop_token(self, transaction: Transaction) -> str:
        return transaction.shown_stop_id_tag

    @admin.display(description="status")
    def state(self, transaction: Transaction) -> str:
        return transaction.status if transaction.superseded_by_id is None else f"{transaction.status} (superseded)"

    @admin.display(description="energy (kWh)")
    def energy_kwh(self, transaction: Transaction) -> str | None:
        return None if transaction.energy_wh is None else f"{transaction.energy_wh / 1000:.3f}"

    @admin.display(description="see also")
    def see_also(self, transaction: Transaction) -> SafeString:
        """Its tag, what else that tag charged, and the commands it came of."""
        listed = reverse("admin:transactions_transaction_changelist")
        shown = transaction.shown_id_tag
        links = [(f"{listed}?q={quote(shown)}", f"transactions of {shown}")]
        if tag := IdTag.objects.filter(id_tag__iexact=shown).first():
            links.append((reverse("admin:transactions_idtag_change", args=[tag.pk]), f"the tag {tag}"))
        for command in transaction.commands.all():
            page = reverse("admin:commands_command_change", args=[command.pk])
            links.append((page, f"{command.action} of {localtime(command.created_at):%Y-%m-%d %H:%M}"))
        return format_html_join(" · ", '<a href="{}">{}</a>', links)

    @admin.display(description="meter values")
    def readings(self, transaction: Transaction) -> SafeString:
        """The newest readings, and the way to all of them."""
        newest = transaction.meter_values.reverse()[:READINGS_SHOWN]
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{} {}</td><td>{}</td></tr>",
            (
                (f"{localtime(r.timestamp):%Y-%m-%d %H:%M:%S}", r.measurand, r.phase, r.value[:40], r.unit, r.context)
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


@admin.register(Outage)
class OutageAdmin(HistoryAdmin):
    list_display = ["charger", "evse_id", "connector_id", "kind", "error_code", "vendor_error_code", "began_at"]
    list_display += ["ended_at", "excluded_because"]
    list_filter = ["kind", "excluded_because"]
    search_fields = ["charger__identity", "error_code", "vendor_error_code"]
    date_hierarchy = "began_at"


@admin.register(MeterValue)
class MeterValueAdmin(LargeHistoryAdmin):
    """The newest first; the readings of a charger are found by its transactions."""

    list_display = ["timestamp", "charger", "evse_id", "transaction_id", "measurand", "phase", "value", "unit"]
    list_filter = ["received_at", choices("measurand", MEASURANDS), choices("context", CONTEXTS)]
    sortable_by = ()
    searched = {"transaction": "number"}
    ordering = ["-reading_id", "-id"]
    linked = ["transaction__id__exact"]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> MeterValue | None:
        """Find it by the index of its reading; `id` has none."""
        if not object_id.isdecimal() or len(object_id) > MAX_DIGITS:
            return None
        return self.get_queryset(request).filter(reading_id=int(object_id) // MOST, pk=int(object_id)).first()
