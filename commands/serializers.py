"""Tasks, and the bodies that ask for them."""

from django.conf import settings
from rest_framework import serializers

from commands.actions import ACTIONS
from commands.models import Command


class TaskSerializer(serializers.ModelSerializer):
    """A command as a job. `result` is the response or, where `simulated` is true, a stand-in for none."""

    charger_id = serializers.CharField(source="charger.charger_id")
    payload = serializers.JSONField()
    outcome = serializers.SerializerMethodField()
    response = serializers.JSONField(allow_null=True)
    simulated_response = serializers.JSONField(allow_null=True)
    result = serializers.JSONField(allow_null=True)
    error = serializers.JSONField(allow_null=True)
    late_response = serializers.JSONField(allow_null=True)
    transaction_id = serializers.IntegerField(allow_null=True)
    task_url = serializers.SerializerMethodField()

    class Meta:
        model = Command
        fields = [
            "task_id",
            "task_url",
            "charger_id",
            "action",
            "payload",
            "state",
            "outcome",
            "simulated",
            "response",
            "simulated_response",
            "result",
            "error",
            "late_response",
            "warning",
            "timeout",
            "requested_by",
            "transaction_id",
            "created_at",
            "sent_at",
            "finished_at",
        ]

    def get_outcome(self, command) -> str | None:
        return command.outcome or None

    def get_task_url(self, command) -> str:
        return task_url(command)


def task_url(command):
    return f"/api/ocpp/tasks/{command.task_id}/"


class AskSerializer(serializers.Serializer):
    """What every body that asks for a command may hold."""

    timeout = serializers.FloatField(
        required=False,
        min_value=0.1,
        max_value=settings.OCPP_LONGEST_COMMAND_TIMEOUT,
        help_text="Seconds the charger has to answer, from when the CALL is sent.",
    )


class CommandRequestSerializer(AskSerializer):
    """`payload` is the OCPP request in camelCase; what the central system owns may be left out."""

    charger_id = serializers.CharField(trim_whitespace=False)
    action = serializers.ChoiceField(list(ACTIONS))
    payload = serializers.DictField(default=dict)


class StopRequestSerializer(AskSerializer):
    transaction_id = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    connector_id = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class AuthorizeRequestSerializer(AskSerializer):
    id_tag = serializers.CharField(default="default-id-tag", max_length=20, trim_whitespace=False)
    connector_id = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


class AskedSerializer(serializers.Serializer):
    """The answer to one of the three short commands; follow `task_url` for the outcome."""

    status = serializers.CharField()
    task_id = serializers.CharField()
    task_url = serializers.CharField()
    warning = serializers.CharField(required=False)
    id_tag_status = serializers.CharField(required=False)
