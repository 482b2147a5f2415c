"""What was odd about the messages of chargers, over REST."""

from rest_framework import generics

from chargers.filters import FindingFilter
from chargers.models import Finding
from chargers.serializers import FindingSerializer
from chargers.viewsets import Scoped


class FindingList(Scoped, generics.ListAPIView):
    """How messages of chargers depart from OCPP, the latest first: one row a charger, action, member and kind.

    docs/tolerance.md says what becomes of each. An `action` that ends with Response is an answer to a command.
    """

    queryset = Finding.objects.select_related("charger")
    serializer_class = FindingSerializer
    filterset_class = FindingFilter
