"""Serializers of the reports of chargers about their variables."""

from rest_framework import serializers

from commands.services.base_reports import Summary


class ReportSummarySerializer(serializers.Serializer):
    """A report. `report_base` is "" for a GetReport, and for a report that no known command requested."""

    request_id = serializers.IntegerField()
    action = serializers.CharField(source="command.action", default="")
    report_base = serializers.SerializerMethodField()
    task_id = serializers.CharField(source="command.task_id", allow_null=True, default=None)
    parts = serializers.IntegerField(help_text="Messages that have arrived.")
    is_complete = serializers.BooleanField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()

    def get_report_base(self, report: Summary) -> str:
        return report.command.payload.get("reportBase", "") if report.command else ""


class NamedSerializer(serializers.Serializer):
    """A row about a value, with the parts of its name."""

    component = serializers.CharField(source="name.component")
    component_instance = serializers.CharField(source="name.component_instance")
    evse_id = serializers.IntegerField(source="name.evse_id", allow_null=True)
    connector_id = serializers.IntegerField(source="name.connector_id", allow_null=True)
    variable = serializers.CharField(source="name.variable")
    instance = serializers.CharField(source="name.instance")
    attribute = serializers.CharField(source="name.attribute")


class ReportedVariableSerializer(NamedSerializer):
    value = serializers.CharField(allow_null=True)
    mutability = serializers.CharField()
    persistent = serializers.BooleanField()
    constant = serializers.BooleanField()
    characteristics = serializers.DictField(allow_null=True)


class ChangedVariableSerializer(NamedSerializer):
    old_value = serializers.CharField(allow_null=True)
    new_value = serializers.CharField(allow_null=True)


class DifferenceSerializer(serializers.Serializer):
    """How the report `to` differs from that of the path."""

    added = ReportedVariableSerializer(many=True)
    removed = ReportedVariableSerializer(many=True)
    changed = ChangedVariableSerializer(many=True)


class ReportSerializer(ReportSummarySerializer):
    """A report with its values, as far as they have arrived."""

    variables = ReportedVariableSerializer(many=True)


class DifferenceQuerySerializer(serializers.Serializer):
    to = serializers.IntegerField(help_text="The request id of the later report.")
