"""Tokens, and who did what, over REST."""

from datetime import UTC, datetime, timedelta

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import generics, mixins, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from chargers.errors import Conflict
from chargers.filters import AuditEntryFilter
from chargers.models import (
    ApiToken,
    AuditEntry,
)
from chargers.pagination import NewestFirst
from chargers.serializers import (
    ApiTokenSerializer,
    AuditEntrySerializer,
    NewApiTokenSerializer,
)
from chargers.viewsets import NOT_KEPT, Scoped

A_YEAR = timedelta(days=365)


class ApiTokenViewSet(mixins.CreateModelMixin, mixins.DestroyModelMixin, viewsets.ReadOnlyModelViewSet):
    """Your own tokens. One that is deleted is revoked at once."""

    queryset = ApiToken.objects.select_related("user")
    serializer_class = ApiTokenSerializer
    filterset_fields = ["name"]

    def get_queryset(self):
        user = self.request.user if self.request else None
        return self.queryset.filter(user=user) if user and user.is_authenticated else self.queryset.none()

    @extend_schema(responses={201: NewApiTokenSerializer})
    @transaction.atomic
    def create(self, request):
        """Make a token. It is told this once, and kept as a hash."""
        if not (request.user and request.user.is_authenticated):
            raise Conflict("There is no login here (API_AUTH=none), and so no user whose token it could be.")
        wanted = self.get_serializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        expires_at = self._end(wanted.validated_data)
        try:
            with transaction.atomic():
                made, token = ApiToken.make(request.user, wanted.validated_data["name"], expires_at)
        except IntegrityError as error:  # of two requests at a time
            raise Conflict("You have a token of this name already.") from error
        return Response(self.get_serializer(made).data | {"token": token}, status=201, headers=NOT_KEPT)

    def _end(self, wanted):
        """When it expires: no later than the token it is made with, lest a stolen one outlives its end."""
        latest = getattr(self.request.auth, "expiry", None)
        default = datetime.now(UTC) + A_YEAR
        if latest is None:
            return wanted.get("expiry", default)
        if "expiry" not in wanted:
            return min(default, latest)
        if wanted["expiry"] is None or wanted["expiry"] > latest:
            raise ValidationError({"expires_at": [f"Not later than the token it is made with: {latest:%Y-%m-%d}."]})
        return wanted["expiry"]

    @transaction.atomic
    def destroy(self, *args, **kwargs):
        return super().destroy(*args, **kwargs)


class AuditEntryList(Scoped, generics.ListAPIView):
    """Who did what, newest first: commands, logins, changes of chargers, tags, keys, profiles, users, tokens."""

    queryset = AuditEntry.objects.select_related("charger")
    serializer_class = AuditEntrySerializer
    filterset_class = AuditEntryFilter
    pagination_class = NewestFirst
