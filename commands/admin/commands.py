"""Commands and their data in the admin."""

import json
from collections.abc import Iterable
from typing import Any

import orjson
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django_celery_results.admin import TaskResultAdmin as LibraryTaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult
from rest_framework.exceptions import APIException

from chargers.admin.base import HistoryAdmin, LargeHistoryAdmin, ReadOnly
from chargers.admin.lists import LargeTableAdmin, choices
from chargers.services.access import reaches, reaches_every_charger
from commands.actions.table import NAMES
from commands.api.serializers.certificates import ContractRootSerializer
from commands.api.serializers.commands import ChargingProfileSerializer
from commands.models import (
    CertificateInquiry,
    CertificateRequest,
    ChargingProfile,
    Command,
    ContractRoot,
    DisplayMessage,
    EVChargingNeeds,
    EVChargingSchedule,
    Firmware,
    LimitedPlace,
    LocalList,
    PowerLimit,
    PublishedFirmware,
    Upload,
)
from commands.services import power_limits
from commands.services.firmware import command_that_needs
from core.ocpp.redaction import without_secrets

UPLOAD_COLUMNS: Any = ["command", "charger", "received_at", "size", "saved", "expires_at"]
TASK_STATES = ["SUCCESS", "FAILURE", "STARTED", "RETRY", "REVOKED", "IGNORED"]


def _json(field: str, title: str) -> Any:
    """A read-only column that shows a JSON field."""

    @admin.display(description=title, empty_value="-")
    def shown(self: Any, command: Command) -> str | None:
        value = getattr(command, field)
        return None if value is None else json.dumps(value, ensure_ascii=False)

    return shown


@admin.register(Command)
class CommandAdmin(LargeHistoryAdmin):
    list_display = ["created_at", "charger", "action", "state", "shown_outcome", "shown_result", "requested_by"]
    list_filter = ["state", "outcome", "simulated", "confirmation", choices("action", NAMES)]
    sortable_by = ["created_at"]
    searched = {"task_id": "text", "charger": "charger"}
    date_hierarchy = "created_at"
    progress_made = _json("progress", "progress")
    answer = _json("response", "response")
    fault = _json("error", "error")
    late = _json("late_response", "late response")
    fieldsets = [
        (None, {"fields": ["charger", "ocpp_version", "action", "shown_payload", "timeout", "warning"]}),
        ("Outcome", {"fields": ["state", "shown_outcome", "shown_result", "answer", "fault", "late"]}),
        ("Effect", {"fields": ["confirmation", "confirmation_detail", "confirmed_at", "confirm_until"]}),
        ("Origin and progress", {"fields": ["requested_by", "task_id", "transaction", "progress_made", "follows"]}),
        ("Times", {"fields": ["created_at", "sent_at", "finished_at", "completed_at"]}),
    ]
    readonly_fields = ["shown_payload", "progress_made", "shown_outcome", "shown_result", "answer", "fault", "late"]

    @admin.display(description="payload")
    def shown_payload(self, command: Command) -> str:
        return json.dumps(command.payload, ensure_ascii=False)

    @admin.display(description="outcome", ordering="outcome")
    def shown_outcome(self, command: Command) -> str:
        return command.outcome.replace("_", " ")

    @admin.display(description="result")
    def shown_result(self, command: Command) -> str | None:
        """The result as text; a simulated one is marked, so that nobody takes it for an answer."""
        if command.simulated:
            simulated = json.dumps(command.simulated_response)
            return format_html("<em>no answer; simulated: {}</em>", simulated)
        if command.error:
            return f"{command.error.get('code')}: {command.error.get('description')}"
        return None if command.response is None else json.dumps(command.response, ensure_ascii=False)


class ChargingProfileForm(forms.ModelForm):
    """The profile as JSON, checked like one that is received over REST."""

    profile = forms.JSONField(
        widget=forms.Textarea(attrs={"rows": 20, "cols": 80}),
        help_text="csChargingProfiles of OCPP 1.6, or chargingProfile of 2.0.1",
    )

    class Meta:
        model = ChargingProfile
        fields = ["description", "profile"]

    def clean_profile(self) -> dict[str, Any]:
        try:
            orjson.dumps(self.cleaned_data["profile"])
            return ChargingProfileSerializer().validate_profile(dict(self.cleaned_data["profile"]))
        except APIException as error:
            raise forms.ValidationError([str(line) for line in error.detail]) from error
        except (TypeError, ValueError) as error:
            raise forms.ValidationError("A profile must be a JSON object.") from error


@admin.register(ChargingProfile)
class ChargingProfileAdmin(admin.ModelAdmin):
    form = ChargingProfileForm
    list_display = ["description", "id", "purpose", "updated_at"]
    search_fields = ["=id", "description"]
    date_hierarchy = "created_at"

    @admin.display
    def purpose(self, profile: ChargingProfile) -> str | None:
        return profile.profile.get("chargingProfilePurpose")


admin.site.register(
    EVChargingNeeds,
    HistoryAdmin,
    list_display=["received_at", "charger", "evse_id", "energy_transfer", "energy_wh", "departure_time", "status"],
    list_filter=["status", "energy_transfer"],
    search_fields=["charger__identity"],
    date_hierarchy="received_at",
)
admin.site.register(
    EVChargingSchedule,
    HistoryAdmin,
    list_display=["received_at", "charger", "evse_id", "begins_at", "status", "reason"],
    list_filter=["status"],
    search_fields=["charger__identity"],
    date_hierarchy="received_at",
)


@admin.register(LocalList)
class LocalListAdmin(HistoryAdmin):
    list_display = ["charger", "version", "accepted_at"]
    search_fields = ["charger__identity"]
    date_hierarchy = "accepted_at"
    exclude = ["entries"]
    readonly_fields = ["shown_entries"]

    @admin.display(description="entries")
    def shown_entries(self, held: LocalList) -> str:
        """Its entries without PINs."""
        return json.dumps(without_secrets(held.entries), ensure_ascii=False)


@admin.action(description="Revoke", permissions=["revoke"])
def revoke(modeladmin: admin.ModelAdmin, request: HttpRequest, certificates: QuerySet[CertificateRequest]) -> None:
    revoked = [certificate.revoke() for certificate in certificates.select_related("charger")]
    messages.success(
        request, f"{sum(revoked)} revoked; {len(revoked) - sum(revoked)} were not signed or already revoked."
    )


@admin.register(CertificateRequest)
class CertificateRequestAdmin(HistoryAdmin):
    list_display = ["received_at", "charger", "certificate_type", "common_name", "state", "serial_number"]
    list_display += ["not_after", "error"]
    list_filter = ["state", "certificate_type"]
    search_fields = ["charger__identity", "common_name", "serial_number"]
    date_hierarchy = "received_at"
    actions = [revoke]

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("commands.change_certificaterequest")


@admin.register(CertificateInquiry)
class CertificateInquiryAdmin(HistoryAdmin):
    list_display = ["received_at", "charger", "action", "subject", "server", "status", "detail"]
    list_filter = ["action"]
    search_fields = ["charger__identity", "subject"]
    date_hierarchy = "received_at"


class ContractRootForm(forms.ModelForm):
    """The certificate, checked like one that is received over REST."""

    class Meta:
        model = ContractRoot
        fields = ["certificate"]

    def clean_certificate(self) -> str:
        try:
            return ContractRootSerializer().validate_certificate(self.cleaned_data["certificate"])
        except APIException as error:
            raise forms.ValidationError([str(line) for line in error.detail]) from error


@admin.register(ContractRoot)
class ContractRootAdmin(admin.ModelAdmin):
    form = ContractRootForm
    list_display = ["subject", "serial_number", "not_after", "created_at"]
    search_fields = ["subject", "serial_number"]
    date_hierarchy = "created_at"

    def has_change_permission(self, request: HttpRequest, root: ContractRoot | None = None) -> bool:
        return False


@admin.register(Firmware)
class FirmwareAdmin(admin.ModelAdmin):
    list_display = ["description", "version", "filename", "signed", "created_at"]
    # The default widget shows a link, which leads to no page.
    formfield_overrides = {models.FileField: {"widget": forms.FileInput}}

    def get_readonly_fields(self, request: HttpRequest, firmware: Firmware | None = None) -> list[str]:
        return ["file"] if firmware else []  # chargers may be fetching it, and it has a signature

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Firmware]) -> None:
        for firmware in queryset:  # one by one, because `delete` also deletes the file
            firmware.delete()

    def get_deleted_objects(self, objs: Iterable[Firmware], request: HttpRequest) -> Any:
        """Add the commands that need an image to what protects it."""
        objs = list(objs)
        *shown, protected = super().get_deleted_objects(objs, request)
        needed = [command for command in map(command_that_needs, objs) if command]
        named = [command if reaches(request.user, command.charger) else "Command" for command in needed]
        return *shown, [*protected, *named]

    search_fields = ["description", "version", "file"]
    date_hierarchy = "created_at"

    @admin.display(boolean=True)
    def signed(self, firmware: Firmware) -> bool:
        return bool(firmware.signature)


@admin.register(DisplayMessage)
class DisplayMessageAdmin(HistoryAdmin):
    list_display = ["charger", "message_id", "priority", "state", "content", "end_at", "accepted_at", "reported_at"]
    search_fields = ["charger__identity", "content", "transaction_reference"]
    date_hierarchy = "updated_at"


@admin.register(PublishedFirmware)
class PublishedFirmwareAdmin(HistoryAdmin):
    list_display = ["charger", "checksum", "status", "locations", "updated_at"]
    search_fields = ["charger__identity", "checksum"]
    date_hierarchy = "updated_at"


@admin.register(PowerLimit)
class PowerLimitAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["__str__", "weekdays", "from_time", "until_time", "state", "created_by", "created_at", "ended_at"]
    list_select_related = ["site", "charger__site"]
    search_fields = ["site__name", "charger__identity"]
    date_hierarchy = "created_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PowerLimit]:
        return power_limits.visible(request.user)


@admin.register(LimitedPlace)
class LimitedPlaceAdmin(HistoryAdmin):
    list_display = ["charger", "evse_id", "state", "reason", "command", "tried_at", "installed_at"]
    list_select_related = ["charger", "command__charger"]
    search_fields = ["charger__identity", "reason"]


@admin.register(Upload)
class UploadAdmin(LargeHistoryAdmin):
    list_display = UPLOAD_COLUMNS
    fields = UPLOAD_COLUMNS
    readonly_fields = ["saved"]
    list_select_related = ["charger", "command__charger"]
    date_hierarchy = "expires_at"

    @admin.display(description="file")
    def saved(self, upload: Upload) -> str:
        if not upload.file:
            return "not received yet"
        url = f"{settings.URL_PREFIX}/api/ocpp/uploads/{upload.pk}/file/"
        return format_html('<a href="{}">{}</a>', url, upload.filename)


class TaskResultAdmin(LargeTableAdmin, ReadOnly, LibraryTaskResultAdmin):
    """Results of Celery tasks, read-only like the commands that they ran."""

    list_filter = [choices("status", TASK_STATES), choices("task_name", [f"commands.{action}" for action in NAMES])]
    date_hierarchy = "date_done"
    ordering = ["-date_done"]
    sortable_by = ["date_done"]
    searched = {"task_id": "text"}

    def has_view_permission(self, request: HttpRequest, result: TaskResult | None = None) -> bool:
        """Only for users who may reach every charger, because a result does not name its charger."""
        return super().has_view_permission(request, result) and reaches_every_charger(request.user)


admin.site.unregister([TaskResult, GroupResult])
admin.site.register(TaskResult, TaskResultAdmin)
