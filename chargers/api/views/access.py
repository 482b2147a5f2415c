"""API tokens over REST."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.serializers.access import ApiTokenSerializer, NewApiTokenSerializer
from chargers.api.viewsets import NO_STORE
from chargers.models import ApiToken
from core.http.errors import Conflict

A_YEAR = timedelta(days=365)


class ApiTokenViewSet(mixins.CreateModelMixin, mixins.DestroyModelMixin, viewsets.ReadOnlyModelViewSet):
    """Your own tokens. To revoke a token at once, delete it."""

    queryset = ApiToken.objects.select_related("user")
    serializer_class = ApiTokenSerializer
    filterset_fields = ["name"]

    def get_queryset(self) -> QuerySet[ApiToken]:
        user = self.request.user if self.request else None
        return self.queryset.filter(user=user) if user and user.is_authenticated else self.queryset.none()

    @extend_schema(responses={201: NewApiTokenSerializer})
    @transaction.atomic
    def create(self, request: Request) -> Response:
        """Create a token. Only this answer contains it; the server stores a hash."""
        if not (request.user and request.user.is_authenticated):
            raise Conflict("This API has no login (API_AUTH=none), so there is no user for the token.")
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        expires_at = self._expiry(serializer.validated_data)
        try:
            with transaction.atomic():
                row, token = ApiToken.make(request.user, serializer.validated_data["name"], expires_at)
        except IntegrityError as error:  # two requests at the same time
            raise Conflict("You have a token of this name already.") from error
        return Response(self.get_serializer(row).data | {"token": token}, status=201, headers=NO_STORE)

    def _expiry(self, values: Mapping[str, Any]) -> datetime | None:
        """Return when it expires: no later than the token of this request, so a stolen one cannot be prolonged."""
        latest = getattr(self.request.auth, "expiry", None)
        default = datetime.now(UTC) + A_YEAR
        if latest is None:
            return values.get("expiry", default)
        if "expiry" not in values:
            return min(default, latest)
        if values["expiry"] is None or values["expiry"] > latest:
            raise ValidationError(
                {"expires_at": [f"It must not be later than the end of the token you use: {latest:%Y-%m-%d}."]}
            )
        return values["expiry"]

    @transaction.atomic
    def destroy(self, *args: Any, **kwargs: Any) -> Response:
        return super().destroy(*args, **kwargs)
