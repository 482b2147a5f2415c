"""Serializers of tasks, of requests that submit them, and of the models that commands use."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from chargers.api.serializers.base import ChargerRow, Strict
from commands.actions import library
from commands.actions.table import NAMES
from commands.models import (
    CertificateRequest,
    ChargingProfile,
    Command,
    DisplayMessage,
    Firmware,
    PublishedFirmware,
    Upload,
)
from core.ocpp import schemas
from core.ocpp.redaction import without_secrets
from core.ocpp.versions import BY_SUBPROTOCOL


class TaskSerializer(ChargerRow):
    """A command as a task. `result` is the response, or the simulated one if `simulated` is true."""

    payload = serializers.SerializerMethodField()
    outcome = serializers.SerializerMethodField()
    response = serializers.JSONField(allow_null=True)
    simulated_response = serializers.JSONField(allow_null=True)
    result = serializers.JSONField(allow_null=True)
    error = serializers.JSONField(allow_null=True)
    late_response = serializers.JSONField(allow_null=True)
    transaction_id = serializers.IntegerField(allow_null=True)
    task_url = serializers.SerializerMethodField()
    progress = serializers.JSONField(help_text="Notifications of what the charger delivers later: status, at.")
    report = serializers.JSONField(
        allow_null=True,
        help_text="The whole report that was delivered, if it is small. What is stored about a customer, as a text, "
        "has only the answer for one task.",
    )
    follows = serializers.CharField(source="follows.task_id", allow_null=True, default=None)

    class Meta:
        model = Command
        fields = [
            "task_id",
            "task_url",
            "charger_id",
            "ocpp_version",
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
            "request_id",
            "progress",
            "report",
            "follows",
            "warning",
            "timeout",
            "requested_by",
            "transaction_id",
            "created_at",
            "sent_at",
            "finished_at",
            "completed_at",
            "confirmation",
            "confirmed_at",
            "confirmation_detail",
        ]

    @staticmethod
    def rows() -> QuerySet[Command]:
        """The commands with only the columns that are shown, because tasks are polled often."""
        own = [field.name for field in Command._meta.concrete_fields]
        shown = Command.objects.select_related("charger", "follows")
        return shown.only(*own, "charger__identity", "follows__task_id")

    @staticmethod
    def shown(command: Command) -> dict[str, Any]:
        """Return what `data` would be, without building the fields again, which takes most of its time."""
        return _task_serializer().to_representation(command)

    def get_outcome(self, command: Command) -> str | None:
        return command.outcome or None

    def get_payload(self, command: Command) -> dict:
        return command.payload

    def get_task_url(self, command: Command) -> str:
        return task_url(command)


@cache
def _task_serializer() -> TaskSerializer:
    return TaskSerializer()


def task_url(command: Command) -> str:
    return f"{settings.URL_PREFIX}/api/ocpp/tasks/{command.task_id}/"


class SubmissionSerializer(serializers.Serializer):
    """Members that every request for a command may have."""

    timeout = serializers.FloatField(
        required=False,
        min_value=0.1,
        max_value=settings.OCPP_LONGEST_COMMAND_TIMEOUT,
        help_text="Seconds that the charger has to answer after the CALL is sent.",
    )


class CommandRequestSerializer(SubmissionSerializer):
    """`payload` is the OCPP request in camelCase; members that the central system can fill in may be left out."""

    charger_id = serializers.CharField(trim_whitespace=False)
    ocpp_version = serializers.ChoiceField(
        list(BY_SUBPROTOCOL),
        required=False,
        help_text="For a charger that has never connected; ocpp1.6 by default. Otherwise it must be what it speaks.",
    )
    action = serializers.ChoiceField(NAMES)
    payload = serializers.DictField(default=dict)


class StopRequestSerializer(SubmissionSerializer):
    transaction_id = serializers.IntegerField(required=False, min_value=-(2**31), max_value=2**31 - 1)
    reference = serializers.CharField(
        required=False,
        max_length=255,
        trim_whitespace=False,
        help_text="The charger's own text for the transaction, from OCPP 2.0.1 on.",
    )
    evse_id = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
    connector_id = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)


class AuthorizeRequestSerializer(SubmissionSerializer):
    id_tag = serializers.CharField(default="default-id-tag", max_length=36, trim_whitespace=False)
    id_token_type = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=20,
        help_text="From OCPP 2.0.1 on; default: the type of the id tag.",
    )
    evse_id = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    connector_id = serializers.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, help_text="In OCPP 1.6, where it is the EVSE."
    )


class SetVariableSerializer(SubmissionSerializer):
    """A value and the name of its variable, which in OCPP 1.6 has no other part than `variable`."""

    variable = serializers.CharField(max_length=50, trim_whitespace=False)
    value = serializers.CharField(allow_blank=True, trim_whitespace=False)
    component = serializers.CharField(default="", allow_blank=True, max_length=50, trim_whitespace=False)
    component_instance = serializers.CharField(default="", allow_blank=True, max_length=50, trim_whitespace=False)
    evse_id = serializers.IntegerField(default=None, allow_null=True, min_value=0, max_value=2**31 - 1)
    connector_id = serializers.IntegerField(default=None, allow_null=True, min_value=0, max_value=2**31 - 1)
    instance = serializers.CharField(default="", allow_blank=True, max_length=50, trim_whitespace=False)
    attribute = serializers.ChoiceField(["Actual", "Target", "MinSet", "MaxSet"], default="Actual")


class SubmittedSerializer(serializers.Serializer):
    """The answer to a submitted command; poll `task_url` for its outcome."""

    status = serializers.CharField()
    task_id = serializers.CharField()
    task_url = serializers.CharField()
    warning = serializers.CharField(required=False)
    id_tag_status = serializers.CharField(required=False)


class ChargingProfileSerializer(serializers.ModelSerializer):
    """`profile` has the form of OCPP 1.6 or 2.0.1; its `chargingProfileId` (1.6) or `id` is the `id` here."""

    profile = serializers.DictField()

    class Meta:
        model = ChargingProfile
        fields = ["id", "description", "profile", "created_at", "updated_at"]
        read_only_fields = ["id", "created_at", "updated_at"]

    def to_representation(self, profile: ChargingProfile) -> dict[str, Any]:
        return super().to_representation(profile) | {"profile": profile.on_the_wire()}

    def validate_profile(self, profile: dict[str, Any]) -> dict[str, Any]:
        try:
            library.check(profile)
        except schemas.Violation as violation:
            raise serializers.ValidationError(f"{violation.field}: {violation.message}") from violation
        return profile


class LocalListSerializer(serializers.Serializer):
    """`entries` is null if the list of the charger is not known."""

    charger_id = serializers.CharField(source="charger.identity")
    version = serializers.IntegerField(source="charger.local_list_version")
    entries = serializers.SerializerMethodField()
    accepted_at = serializers.DateTimeField(source="held.accepted_at", allow_null=True, default=None)

    @extend_schema_field(serializers.ListField(child=serializers.DictField(), allow_null=True))
    def get_entries(self, shown: Mapping[str, Any]) -> Any:
        return None if shown["held"] is None else without_secrets(shown["held"].entries)


class SendLocalListSerializer(SubmissionSerializer):
    update_type = serializers.ChoiceField(["Full", "Differential"], default="Full")
    id_tags = serializers.ListField(
        child=serializers.CharField(max_length=255, trim_whitespace=False),
        required=False,
        help_text="Default: all known tags or, in a Differential list, those that have changed.",
    )
    full_if_failed = serializers.BooleanField(
        required=False,
        help_text="Send a Full list of all tags if the Differential one fails. Default: true in OCPP 2.0.1.",
    )


NAMED_ALREADY = "There is an image of this name."


class FirmwareSerializer(Strict, serializers.ModelSerializer):
    """Firmware with a signature and a certificate can use SignedUpdateFirmware. Its file stays as it is."""

    filename = serializers.CharField(read_only=True)
    size = serializers.IntegerField(read_only=True, allow_null=True)

    class Meta:
        model = Firmware
        fields = [
            "id",
            "description",
            "version",
            "filename",
            "size",
            "signing_certificate",
            "signature",
            "created_at",
        ]
        extra_kwargs: dict[str, Any] = {
            "description": {"validators": [UniqueValidator(Firmware.objects.all(), NAMED_ALREADY)]},
        }

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        signed = [values.get(name, getattr(self.instance, name, "")) for name in ("signature", "signing_certificate")]
        if any(signed) and not all(signed):
            text = "A signed image needs both the signature and the signing certificate."
            raise serializers.ValidationError({"signature": [text]})
        return values


class NewFirmwareSerializer(FirmwareSerializer):
    """`file` is sent as a form."""

    file = serializers.FileField(write_only=True)

    class Meta(FirmwareSerializer.Meta):
        fields = [*FirmwareSerializer.Meta.fields, "file"]

    def create(self, values: dict[str, Any]) -> Firmware:
        firmware = Firmware(**values)
        try:
            with transaction.atomic():
                firmware.save()
        except IntegrityError as error:  # two requests at the same time; the file is stored before the row
            firmware.file.delete(save=False)
            raise serializers.ValidationError({"description": [NAMED_ALREADY]}) from error
        return firmware


class InstallSerializer(SubmissionSerializer):
    charger_id = serializers.CharField(trim_whitespace=False)
    retrieve_date = serializers.DateTimeField(
        required=False, help_text="Time from which the charger may fetch it; default: now."
    )
    install_date = serializers.DateTimeField(
        required=False, help_text="Time from which it may be installed; default: at once. In 1.6 for signed ones."
    )
    signed = serializers.BooleanField(required=False, help_text="Default: true if the firmware has a signature.")
    retries = serializers.IntegerField(required=False, min_value=0, max_value=2**31 - 1)
    retry_interval = serializers.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, help_text="Seconds between two attempts to fetch it."
    )


class PublishSerializer(SubmissionSerializer):
    charger_id = serializers.CharField(trim_whitespace=False)


class DisplayMessageSerializer(ChargerRow):
    transaction_id = serializers.IntegerField(allow_null=True)
    has_ended = serializers.BooleanField(help_text="Whether its end or that of its transaction has passed.")

    class Meta:
        model = DisplayMessage
        fields = [
            "id",
            "charger_id",
            "message_id",
            "priority",
            "state",
            "start_at",
            "end_at",
            "transaction_id",
            "transaction_reference",
            "format",
            "language",
            "content",
            "component",
            "component_instance",
            "evse_id",
            "connector_id",
            "accepted_at",
            "reported_at",
            "has_ended",
        ]


class PublishedFirmwareSerializer(ChargerRow):
    locations = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = PublishedFirmware
        fields = ["id", "charger_id", "checksum", "location", "request_id", "status", "locations", "updated_at"]


class UploadSerializer(ChargerRow):
    task_id = serializers.CharField(source="command.task_id")
    action = serializers.CharField(source="command.action")
    filename = serializers.SerializerMethodField()
    file_url = serializers.SerializerMethodField()

    class Meta:
        model = Upload
        fields = [
            "id",
            "charger_id",
            "task_id",
            "action",
            "filename",
            "size",
            "file_url",
            "received_at",
            "expires_at",
        ]

    def get_filename(self, upload: Upload) -> str | None:
        return upload.filename or None

    def get_file_url(self, upload: Upload) -> str | None:
        return f"{settings.URL_PREFIX}/api/ocpp/uploads/{upload.pk}/file/" if upload.file else None


class CertificateSerializer(ChargerRow):
    task_id = serializers.CharField(source="command.task_id", allow_null=True, default=None)

    class Meta:
        model = CertificateRequest
        fields = [
            "id",
            "charger_id",
            "certificate_type",
            "common_name",
            "state",
            "error",
            "serial_number",
            "not_after",
            "certificate_chain",
            "task_id",
            "received_at",
        ]
