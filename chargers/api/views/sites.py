"""Sites over REST."""

from typing import Any

from django.db.models import Count, QuerySet
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.filters import SiteFilter
from chargers.api.serializers.sites import SiteSerializer
from chargers.api.viewsets import Editable
from chargers.models import Site
from chargers.services import access


class SiteViewSet(Editable):
    """The places where chargers stand. Put a charger at a site by `site` of the charger.

    A user who does not reach every charger sees the sites that name this user or a role of this user. Chargers of a
    deleted site stay, without a site.
    """

    queryset = Site.objects.annotate(charger_count=Count("chargers")).order_by("name")
    serializer_class = SiteSerializer
    filterset_class = SiteFilter

    def get_queryset(self) -> QuerySet[Site]:
        rows = self.queryset.all()
        if not access.reaches_every_charger(self.request.user):
            return rows.filter(pk__in=Site.of(self.request.user).order_by().values("pk"))
        return rows.prefetch_related("users", "roles")

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self._require_every_charger("add")
        return super().create(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self._require_every_charger("delete")
        return super().destroy(request, *args, **kwargs)

    def _require_every_charger(self, verb: str) -> None:
        if not access.reaches_every_charger(self.request.user):
            raise PermissionDenied(f"Only users who may reach every charger may {verb} a site.")
