"""Filters for lists of transactions."""

from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django_filters import rest_framework as filters

from chargers.api.filters import AsSent, OfCharger
from transactions.models import IdTag, Reservation, Transaction
from transactions.services import energy


class TransactionFilter(OfCharger):
    status = filters.ChoiceFilter(method="by_status", choices=[("Ongoing", "Ongoing"), ("Completed", "Completed")])
    reference = filters.CharFilter(method="by_reference")
    started_after = filters.IsoDateTimeFilter("start_time", lookup_expr="gte")
    energy_source = filters.ChoiceFilter(choices=[(source, source) for source in energy.SOURCES])
    started_before = filters.IsoDateTimeFilter("start_time", lookup_expr="lt")

    class Meta:
        model = Transaction
        fields = [
            "id_tag",
            "id_token_type",
            "evse_id",
            "connector_id",
            "charging_state",
            "id_tag_status",
            "stop_reason",
            "clock_skew",
            "reservation_id",
            "tariff",
            "currency",
        ]

    def by_reference(self, transactions: Any, name: str, reference: str) -> QuerySet[Transaction]:
        return transactions.with_reference(reference)

    def by_status(self, transactions: QuerySet[Transaction], name: str, status: str) -> QuerySet[Any]:
        ongoing = Q(stop_received_at=None, closed_at=None)
        return transactions.filter(ongoing if status == "Ongoing" else ~ongoing)


class IdTagFilter(AsSent):
    group = filters.CharFilter("parent_id_tag", strip=False)

    class Meta:
        model = IdTag
        fields = ["id", "id_tag", "type", "status", "expiry_date", "parent_id_tag", "master_pass", "language"]
        fields += ["message", "concurrent_limit", "description", "created_at", "last_authorized_at"]


class ReservationFilter(OfCharger):
    status = filters.ChoiceFilter(method="by_status", choices=[(s, s) for s in Reservation.STATUSES])

    class Meta:
        model = Reservation
        fields = ["id", "evse_id", "connector_id", "connector_type", "id_tag", "id_token_type", "parent_id_tag"]
        fields += ["expiry_date", "ended_because", "end_reported_at", "created_at"]

    def by_status(self, reservations: QuerySet[Reservation], name: str, status: str) -> QuerySet[Any]:
        over = Q(state=Reservation.ACTIVE, expiry_date__lte=Now())
        if status == Reservation.EXPIRED:
            return reservations.filter(over | Q(state=Reservation.EXPIRED))
        return reservations.filter(state=status).exclude(over)
