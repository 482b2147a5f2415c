"""Transactions and id tags over REST."""

from drf_spectacular.utils import extend_schema
from rest_framework import generics, viewsets
from rest_framework.response import Response

from chargers.errors import not_found
from chargers.pagination import Pages
from chargers.views import known_charger
from transactions.filters import TransactionFilter
from transactions.models import IdTag, MeterValue, Transaction
from transactions.serializers import IdTagSerializer, MeterValueSerializer, TransactionSerializer


class TransactionPages(Pages):
    """The list is called `transaction_logs`."""

    def get_paginated_response(self, data):
        page = super().get_paginated_response(data).data
        return Response({"transaction_logs": page.pop("results")} | page)

    def get_paginated_response_schema(self, schema):
        described = super().get_paginated_response_schema(schema)
        described["properties"]["transaction_logs"] = described["properties"].pop("results")
        described["required"] = ["count", "transaction_logs"]
        return described


class TransactionList(generics.ListAPIView):
    """Every transaction, newest first."""

    queryset = Transaction.objects.select_related("charger")
    serializer_class = TransactionSerializer
    pagination_class = TransactionPages
    filterset_class = TransactionFilter


class ChargerTransactionList(TransactionList):
    """One charger's transactions, newest first."""

    @extend_schema(operation_id="ocpp_charger_transactions_list")
    def get(self, request, *args, **kwargs):
        return super().get(request, *args, **kwargs)

    def get_queryset(self):
        if "charger_id" not in self.kwargs:  # the schema is being drawn
            return self.queryset
        return self.queryset.filter(charger=known_charger(self.kwargs["charger_id"]))


def known_transaction(charger_id, transaction_id):
    """The `Transaction`, if it is one of this charger's, or 404."""
    charger = known_charger(charger_id)
    transaction = Transaction.objects.select_related("charger").filter(pk=transaction_id, charger=charger).first()
    if transaction is None:
        raise not_found("Transaction")
    return transaction


class TransactionDetail(generics.RetrieveAPIView):
    """One transaction of a charger."""

    serializer_class = TransactionSerializer

    def get_object(self):
        return known_transaction(self.kwargs["charger_id"], self.kwargs["transaction_id"])


class MeterValueList(generics.ListAPIView):
    """The readings of a transaction, in the order they came; one row a sampledValue."""

    queryset = MeterValue.objects.none()
    serializer_class = MeterValueSerializer
    filterset_fields = ["measurand", "phase", "context"]

    def get_queryset(self):
        if "charger_id" not in self.kwargs:  # the schema is being drawn
            return self.queryset
        transaction = known_transaction(self.kwargs["charger_id"], self.kwargs["transaction_id"])
        return transaction.meter_values.order_by("id")


class IdTagViewSet(viewsets.ModelViewSet):
    """The tags that may charge, and those that may not."""

    queryset = IdTag.objects.all()
    serializer_class = IdTagSerializer
    filterset_fields = ["id_tag", "status", "expiry_date", "parent_id_tag", "description", "created_at"]
