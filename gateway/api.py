"""Messages about transactions that wait for an operator, over REST."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from chargers.api.filters import OfCharger
from chargers.api.serializers.base import ChargerRow, Strict
from chargers.api.viewsets import Scoped
from chargers.services.access import needs
from core.http.pagination import NewestFirst
from core.ocpp.timestamps import to_rfc3339
from gateway import orphans
from transactions.models import OrphanStop
from transactions.models.transactions import MOST


class OrphanStopFilter(OfCharger):
    is_refused = filters.BooleanFilter(method="by_refusal", help_text="Whether the message was refused.")

    def by_refusal(self, orphans: QuerySet[OrphanStop], name: str, is_refused: bool) -> QuerySet[OrphanStop]:
        return orphans.exclude(refused_because="") if is_refused else orphans.filter(refused_because="")

    class Meta:
        model = OrphanStop
        fields = [
            "id",
            "ocpp_version",
            "action",
            "refused_because",
            "reported_transaction_id",
            "received_at",
            "transaction_id",
        ]


class OrphanStopSerializer(ChargerRow):
    """`candidates` are transactions it may be about, the likeliest first; `refused_because` is "" where it was not.

    `payload` is as it was sent: any JSON of a message that was refused, or a text where it is no JSON.
    """

    payload = serializers.SerializerMethodField()
    transaction_id = serializers.IntegerField(allow_null=True)
    candidates = serializers.SerializerMethodField()
    _candidates: dict[int, list[int]] | None = None

    class Meta:
        model = OrphanStop
        fields = [
            "id",
            "charger_id",
            "ocpp_version",
            "action",
            "refused_because",
            "reported_transaction_id",
            "payload",
            "received_at",
            "transaction_id",
            "candidates",
        ]

    @extend_schema_field(OpenApiTypes.ANY)
    def get_payload(self, orphan: OrphanStop) -> Any:
        return orphan.as_sent

    def get_candidates(self, orphan: OrphanStop) -> list[int]:
        if self._candidates is None:  # of the whole page at once
            page: Any = self.parent.instance if self.parent else [orphan]
            self._candidates = OrphanStop.candidates_of(page)
        return self._candidates.get(orphan.pk, [])


class AttachSerializer(Strict):
    """What completes or replaces members of the message, each of them optional where the message has it."""

    transaction_id = serializers.IntegerField(min_value=1, max_value=MOST, required=False)
    connector_id = serializers.IntegerField(min_value=0, max_value=MOST, required=False)
    id_tag = serializers.RegexField(r"^[\x20-\x7e]+$", max_length=255, trim_whitespace=False, required=False)
    meter_start = serializers.IntegerField(min_value=0, max_value=MOST, required=False)
    meter_stop = serializers.IntegerField(min_value=0, max_value=MOST, required=False)
    timestamp = serializers.DateTimeField(required=False)

    def validate_timestamp(self, moment: datetime) -> str:
        return to_rfc3339(moment)


def completion(payload: Any) -> dict[str, Any]:
    """Validate `payload` for `gateway.orphans.apply`; raise `ValidationError` for invalid members."""
    body = AttachSerializer(data=payload)
    body.is_valid(raise_exception=True)
    completed: dict[str, Any] = body.validated_data
    return completed


class OrphanStopViewSet(Scoped, viewsets.ReadOnlyModelViewSet[OrphanStop]):
    """Stops that name no transaction of their charger, and messages about transactions that were refused."""

    queryset = OrphanStop.objects.select_related("charger")
    serializer_class = OrphanStopSerializer
    pagination_class = NewestFirst
    filterset_class = OrphanStopFilter

    @extend_schema(request=AttachSerializer, responses=OrphanStopSerializer)
    @action(detail=True, methods=["post"], permission_classes=[needs(POST="transactions.change_transaction")])
    def attach(self, request: Request, pk: str | None = None) -> Response:
        """Apply it by hand: a stop or readings to a transaction of its charger, a start as a new transaction."""
        orphans.apply(self.get_object(), completion(request.data))
        return Response(OrphanStopSerializer(self.get_object()).data)


router = SimpleRouter()
router.register("orphan-stops", OrphanStopViewSet)
urlpatterns = router.urls
