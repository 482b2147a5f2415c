"""Deviations of chargers' messages from OCPP, over REST."""

from rest_framework import generics

from chargers.api.filters import FindingFilter
from chargers.api.serializers import FindingSerializer
from chargers.api.viewsets import Scoped
from chargers.models import Finding


class FindingList(Scoped, generics.ListAPIView):
    """Deviations of messages from OCPP, the latest first, one row for each charger, action, member and kind.

    docs/tolerance.md explains how each is treated. An `action` that ends with Response is an answer to a command.
    """

    queryset = Finding.objects.select_related("charger")
    serializer_class = FindingSerializer
    filterset_class = FindingFilter
