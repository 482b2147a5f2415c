"""Transactions and id tags over REST."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, generics, mixins, serializers, viewsets
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from chargers.api.filters import of_charger
from chargers.api.viewsets import Editable, Scoped
from chargers.services.access import known_charger, needs
from core.http.errors import Conflict, not_found
from core.http.pagination import NewestFirst
from core.http.parameters import takes
from core.http.parsers import CsvParser
from transactions.api import id_tag_files
from transactions.api.filters import IdTagFilter, ReservationFilter, TransactionFilter
from transactions.api.serializers import (
    CorrectionSerializer,
    IdTagSerializer,
    MeterValueSerializer,
    ReservationSerializer,
    TariffSerializer,
    TransactionEventSerializer,
    TransactionSerializer,
    UnknownIdTagSerializer,
)
from transactions.models import (
    IdTag,
    MeterValue,
    Reservation,
    Tariff,
    Transaction,
    TransactionEvent,
    UnknownIdTag,
)
from transactions.services import corrections


class TransactionPages(NewestFirst):
    results = "transaction_logs"


class TransactionList(Scoped, generics.ListAPIView):
    """Every transaction, newest first."""

    queryset = Transaction.objects.select_related("charger")
    serializer_class = TransactionSerializer
    pagination_class = TransactionPages
    filterset_class = TransactionFilter


class ChargerTransactionList(TransactionList):
    """One charger's transactions, newest first."""

    @extend_schema(operation_id="ocpp_charger_transactions_list")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Any]:
        if "charger_id" not in self.kwargs:  # the API schema is being generated
            return self.queryset
        return self.queryset.filter(charger=known_charger(self.request, self.kwargs["charger_id"]))


def known_transaction(request: Request, charger_id: str, transaction_id: int) -> Transaction:
    """The `Transaction`, if it is one of this charger's, or 404."""
    charger = known_charger(request, charger_id)
    transaction = Transaction.objects.select_related("charger").filter(pk=transaction_id, charger=charger).first()
    if transaction is None:
        raise not_found("Transaction")
    return transaction


class TransactionDetail(generics.RetrieveAPIView):
    """One transaction of a charger."""

    queryset = Transaction.objects.none()
    serializer_class = TransactionSerializer

    @extend_schema(request=CorrectionSerializer, responses=TransactionSerializer)
    def patch(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Correct the meter values or the end of a session that has ended, or change its note."""
        body = CorrectionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        by = request.user.get_username() if request.user else ""
        corrected = corrections.correct(self.get_object(), by, body.validated_data)
        return Response(TransactionSerializer(corrected).data)

    def get_object(self) -> Transaction:
        return known_transaction(self.request, self.kwargs["charger_id"], self.kwargs["transaction_id"])


@extend_schema(request=None, responses=TransactionSerializer)
@api_view(["POST"])
@permission_classes([needs(POST="transactions.change_transaction")])
def close(request: Request, charger_id: str, transaction_id: int) -> Response:
    """Close a stale transaction by hand, with its last reading. A real stop that is received later wins."""
    transaction = known_transaction(request, charger_id, transaction_id)
    if not transaction.close(by=request.user.get_username() if request.user else ""):
        raise Conflict("This transaction has ended already.")
    return Response(TransactionSerializer(known_transaction(request, charger_id, transaction_id)).data)


class MeterValueList(generics.ListAPIView):
    """The readings of a transaction, in the order of receipt; one row per sampledValue."""

    queryset = MeterValue.objects.none()
    serializer_class = MeterValueSerializer
    filterset_fields = ["measurand", "phase", "context"]

    def get_queryset(self) -> QuerySet[Any]:
        if "charger_id" not in self.kwargs:  # the API schema is being generated
            return self.queryset
        return self.transaction.meter_values.all()

    @cached_property
    def transaction(self) -> Transaction:
        return known_transaction(self.request, self.kwargs["charger_id"], self.kwargs["transaction_id"])

    def get_serializer_context(self) -> dict[str, Any]:
        context = dict(super().get_serializer_context())
        if "charger_id" in self.kwargs:
            context["transaction"] = self.transaction
        return context


class TransactionEventList(generics.ListAPIView):
    """The TransactionEvents of a transaction of OCPP 2.0.1, by `seq_no`."""

    queryset = TransactionEvent.objects.none()
    serializer_class = TransactionEventSerializer
    filterset_fields = ["seq_no", "event_type", "trigger_reason", "offline", "charging_state"]

    def get_queryset(self) -> QuerySet[Any]:
        if "charger_id" not in self.kwargs:  # the API schema is being generated
            return self.queryset
        transaction = known_transaction(self.request, self.kwargs["charger_id"], self.kwargs["transaction_id"])
        return transaction.transaction_events.all()


class IdTagViewSet(Editable):
    """The tags that may charge, and those that may not."""

    queryset = IdTag.objects.prefetch_related("chargers", "groups")
    serializer_class = IdTagSerializer
    filterset_class = IdTagFilter


class ImportQuerySerializer(serializers.Serializer):
    dry_run = serializers.BooleanField(default=False, help_text="Check the file, and store nothing.")


class ImportedIdTagsSerializer(serializers.Serializer):
    """The numbers of lines of a file by what they change."""

    created = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    dry_run = serializers.BooleanField()


@takes(ImportQuerySerializer)
class IdTagImport(generics.GenericAPIView):
    """Id tags of a CSV file in UTF-8, whose first line names the columns, as in id-tags/export.csv."""

    queryset = IdTag.objects.none()
    serializer_class = ImportedIdTagsSerializer
    parser_classes = [CsvParser]
    permission_classes = [needs(POST="transactions.add_idtag"), needs(POST="transactions.change_idtag")]

    @extend_schema(
        parameters=[ImportQuerySerializer],
        request={"text/csv": OpenApiTypes.BINARY},
        responses=ImportedIdTagsSerializer,
    )
    def post(self, request: Request) -> Response:
        """Create and change all tags of the file, or none: 400 names each error by its line and column.

        A tag is known by `id_tag` and `type`. Columns that the file does not have stay as they are, and so do tags
        that it does not name.
        """
        query = ImportQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        dry_run = query.validated_data["dry_run"]
        file = id_tag_files.read(request.data if isinstance(request.data, bytes) else b"", request)
        file.refuse_errors() if dry_run else file.store()
        return Response(file.counts() | {"dry_run": dry_run})


class IdTagExport(generics.GenericAPIView):
    """Id tags as a CSV file."""

    queryset = IdTag.objects.all()
    permission_classes = [needs(GET="transactions.view_idtag")]

    @extend_schema(responses={(200, "text/csv"): str})
    def get(self, request: Request) -> HttpResponse:
        """Return every tag except those of type KeyCode, which are PINs."""
        return id_tag_files.response(self.get_queryset(), request.user)


class TariffViewSet(Editable):
    """Tariffs. One that names id tags precedes one that names chargers or groups, and that precedes all others."""

    queryset = Tariff.objects.prefetch_related("chargers", "groups", "id_tags")
    serializer_class = TariffSerializer
    filterset_fields = ["id", "description", "currency", "energy_per_kwh", "per_minute", "per_session"]
    filterset_fields += ["vat_percent", "text", "created_at"]


class UnknownIdTagViewSet(Scoped, mixins.DestroyModelMixin, viewsets.ReadOnlyModelViewSet):
    """Tags that were presented and are not known, the latest first."""

    queryset = UnknownIdTag.objects.select_related("charger")
    serializer_class = UnknownIdTagSerializer
    filterset_class = of_charger(UnknownIdTag, "id", "id_tag", "type", "first_seen", "last_seen", "presented")

    @extend_schema(request=None, responses={201: IdTagSerializer})
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="transactions.add_idtag")])
    def accept(self, request: Request, pk: str | None = None) -> Response:
        """Make it an id tag that is accepted."""
        try:
            return Response(
                IdTagSerializer(self.get_object().accept(), context=self.get_serializer_context()).data, status=201
            )
        except ValidationError as error:
            raise exceptions.ValidationError({"id_tag": error.messages}) from error


class ReservationViewSet(Scoped, Editable):
    """Reservations. ReserveNow sends one to its charger, CancelReservation ends it there."""

    queryset = Reservation.objects.select_related("charger")
    serializer_class = ReservationSerializer
    filterset_class = ReservationFilter
    pagination_class = NewestFirst

    def perform_update(self, serializer: BaseSerializer) -> None:
        self._refuse_active(serializer.instance, "ReserveNow with its id replaces it at the charger")
        serializer.save()

    def perform_destroy(self, reservation: Reservation) -> None:
        self._refuse_active(reservation, "CancelReservation ends it at the charger")
        reservation.delete()

    @staticmethod
    def _refuse_active(reservation: Any, instead: str) -> None:
        if reservation.status == Reservation.ACTIVE:
            raise Conflict(f"The charger holds this reservation: {instead}.")
