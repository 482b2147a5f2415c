"""Sites over REST."""

from typing import Any

from django.db.models import Count, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.parsers import FileUploadParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.filters import SiteFilter
from chargers.api.serializers.sites import SiteSerializer
from chargers.api.viewsets import Editable
from chargers.models import Site
from chargers.services import access, site_files
from chargers.services.access import needs

SHOWN_PROBLEMS = 100  # of a file


class CsvParser(FileUploadParser):
    """Take the whole body as the file `file`."""

    media_type = "text/csv"

    def get_filename(self, *arguments: Any) -> str:
        return "sites.csv"


class ImportSerializer(serializers.Serializer):
    """A CSV file; its columns are `charger_id` and `site`, and details of the site that are optional."""

    file = serializers.FileField(help_text=f"UTF-8, with the columns {', '.join(site_files.COLUMNS)}.")


class ImportedSitesSerializer(serializers.Serializer):
    """How many chargers were put at another site, and how many sites were created or changed."""

    chargers = serializers.IntegerField()
    sites_created = serializers.IntegerField()
    sites_changed = serializers.IntegerField()


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

    @extend_schema(
        request={"text/csv": {"type": "string", "format": "binary"}, "multipart/form-data": ImportSerializer},
        responses=ImportedSitesSerializer,
    )
    @action(
        methods=["post"],
        detail=False,
        url_path="import",
        permission_classes=[needs(POST="chargers.change_charger")],
        parser_classes=[CsvParser, MultiPartParser],
    )
    def import_file(self, request: Request) -> Response:
        """Put chargers at sites by a CSV file, and create or change the sites.

        A file with an error changes nothing.
        """
        body = ImportSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        plan = site_files.read(request.user, body.validated_data["file"].read())
        if plan.problems:
            raise ValidationError(_by_line(plan.problems[:SHOWN_PROBLEMS]))
        sites = {"sites_created": len(plan.new), "sites_changed": len(plan.changed)}
        return Response({"chargers": site_files.carry_out(plan)} | sites)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self._require_every_charger("add")
        return super().create(request, *args, **kwargs)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self._require_every_charger("delete")
        return super().destroy(request, *args, **kwargs)

    def _require_every_charger(self, verb: str) -> None:
        if not access.reaches_every_charger(self.request.user):
            raise PermissionDenied(f"Only users who may reach every charger may {verb} a site.")


def _by_line(problems: list[site_files.Problem]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for problem in problems:
        found.setdefault(f"line {problem.line} {problem.column}".rstrip(), []).append(problem.text)
    return found
