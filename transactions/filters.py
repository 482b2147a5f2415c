"""What lists of transactions can be narrowed by."""

from django.db.models import Q
from django_filters import rest_framework as filters

from transactions.models import Transaction


class TransactionFilter(filters.FilterSet):
    status = filters.ChoiceFilter(method="by_status", choices=[("Ongoing", "Ongoing"), ("Completed", "Completed")])
    started_after = filters.IsoDateTimeFilter("start_time", lookup_expr="gte")
    started_before = filters.IsoDateTimeFilter("start_time", lookup_expr="lt")

    class Meta:
        model = Transaction
        fields = ["id_tag", "connector_id"]

    def by_status(self, transactions, name, status):
        ongoing = Q(stop_received_at=None)
        return transactions.filter(ongoing if status == "Ongoing" else ~ongoing)
