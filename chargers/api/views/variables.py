"""The variables of all chargers, their changes, and network profiles over REST."""

from rest_framework import generics

from chargers.api.filters import FleetVariableFilter, VariableChangeFilter, of_charger
from chargers.api.serializers.variables import (
    FleetVariableSerializer,
    NetworkProfileSerializer,
    VariableChangeSerializer,
)
from chargers.api.viewsets import Scoped
from chargers.models import NetworkProfile, Variable, VariableChange
from chargers.services.access import needs
from core.http.pagination import NewestFirst

VIEW = [needs(GET="chargers.view_charger")]


class FleetVariableList(Scoped, generics.ListAPIView):
    """The variables that chargers reported or accepted, those last that were known first."""

    queryset = Variable.objects.select_related("charger")
    serializer_class = FleetVariableSerializer
    filterset_class = FleetVariableFilter
    pagination_class = NewestFirst
    permission_classes = VIEW


class VariableChangeList(Scoped, generics.ListAPIView):
    """Changes of the values of variables, newest first, stored for OCPP_REPORTS_RETENTION days.

    `source` is the message of the charger, or the command that it accepted. A value that became known for the first
    time is no change.
    """

    queryset = VariableChange.objects.select_related("charger")
    serializer_class = VariableChangeSerializer
    filterset_class = VariableChangeFilter
    pagination_class = NewestFirst
    permission_classes = VIEW


class NetworkProfileList(Scoped, generics.ListAPIView):
    """The network connections that SetNetworkProfile set, one row for each charger and slot, without secrets."""

    queryset = NetworkProfile.objects.select_related("charger")
    serializer_class = NetworkProfileSerializer
    filterset_class = of_charger(
        NetworkProfile, "id", "slot", "status", "security_profile", "answered_at", "accepted_at"
    )
    pagination_class = NewestFirst
    permission_classes = VIEW
