"""Reports of commands over REST."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chargers.services.access import needs
from commands.models.command_totals import COUNTS, CommandCounts
from commands.services import command_reports
from core.http.parameters import takes
from transactions.api.reports import KeySerializer, PeriodQuery, ReportOfPeriod, selected


class CommandsQuery(PeriodQuery):
    group_by = serializers.ChoiceField(command_reports.GROUPS, default=command_reports.SITE)
    action = serializers.CharField(required=False, trim_whitespace=False, max_length=40)


class CountsSerializer(serializers.Serializer):
    """Counts of finished commands: each is one of `accepted` to `cancelled`."""

    success_percent = serializers.DecimalField(
        max_digits=5, decimal_places=2, allow_null=True, help_text="Accepted, of those that were not cancelled."
    )
    confirmed_percent = serializers.DecimalField(
        max_digits=5, decimal_places=2, allow_null=True, help_text="Confirmed, of those that were looked for."
    )

    def get_fields(self) -> dict[str, Any]:
        columns = [column for column in CommandCounts._meta.fields if column.name in COUNTS]
        counts = {column.name: serializers.IntegerField(help_text=str(column.help_text)) for column in columns}
        return super().get_fields() | counts

    def to_representation(self, counts: Any) -> dict[str, Any]:
        """Return the members, as that of `TotalsSerializer` does."""
        shares = {name: getattr(counts, name) for name in ("success_percent", "confirmed_percent")}
        return {name: getattr(counts, name) for name in COUNTS} | {
            name: None if share is None else str(share) for name, share in shares.items()
        }


class CommandsLineSerializer(KeySerializer, CountsSerializer):
    """Which of the first members it has depends on `group_by`."""

    action = serializers.CharField(required=False)


class CommandsReportSerializer(ReportOfPeriod):
    """`is_complete` is false while the totals of commands that have changed are computed."""

    is_complete = serializers.BooleanField()
    results = CommandsLineSerializer(source="lines", many=True)
    totals = CountsSerializer()


@takes(CommandsQuery)
class CommandsReport(APIView):
    """How the commands ended that were submitted in a period, also those that were deleted since.

    Sorted by the name of the group. A finished command counts on the local day on which it was submitted.
    """

    permission_classes = [needs(GET="commands.view_command")]

    @extend_schema(responses=CommandsReportSerializer, parameters=[CommandsQuery])
    def get(self, request: Request) -> Response:
        found = command_reports.commands(**selected(request, CommandsQuery))
        return Response(CommandsReportSerializer(found).data)
