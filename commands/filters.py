"""What the list of commands can be narrowed by."""

from django_filters import rest_framework as filters

from chargers.filters import AsSent, OfCharger
from commands.models import CertificateRequest, ChargingProfile, Command, Firmware, Upload


class CommandFilter(OfCharger):
    class Meta:
        model = Command
        fields = ["action", "state", "outcome", "simulated"]


class ProfileFilter(AsSent):
    class Meta:
        model = ChargingProfile
        fields = ["id", "description", "created_at", "updated_at"]


class FirmwareFilter(AsSent):
    class Meta:
        model = Firmware
        fields = ["id", "description", "created_at"]


class UploadFilter(OfCharger):
    task_id = filters.CharFilter("command__task_id")
    action = filters.CharFilter("command__action")

    class Meta:
        model = Upload
        fields = ["id", "size", "received_at", "expires_at"]


class CertificateFilter(OfCharger):
    task_id = filters.CharFilter("command__task_id")

    class Meta:
        model = CertificateRequest
        fields = ["id", "common_name", "state", "serial_number", "not_after", "received_at"]
