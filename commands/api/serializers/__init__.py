"""Serializers of tasks and related models in `commands`, of batches and schedules in `batches`."""

from commands.api.serializers.batches import (
    BatchRequestSerializer,
    BatchSerializer,
    MemberSerializer,
    ScheduleSerializer,
)
from commands.api.serializers.commands import (
    AskedSerializer,
    AskSerializer,
    AuthorizeRequestSerializer,
    CertificateSerializer,
    ChargingProfileSerializer,
    CommandRequestSerializer,
    FirmwareSerializer,
    InstallSerializer,
    LocalListSerializer,
    SendLocalListSerializer,
    SetVariableSerializer,
    StopRequestSerializer,
    TaskSerializer,
    UploadSerializer,
    task_url,
)

__all__ = [
    "AskSerializer",
    "AskedSerializer",
    "AuthorizeRequestSerializer",
    "BatchRequestSerializer",
    "BatchSerializer",
    "CertificateSerializer",
    "ChargingProfileSerializer",
    "CommandRequestSerializer",
    "FirmwareSerializer",
    "InstallSerializer",
    "LocalListSerializer",
    "MemberSerializer",
    "ScheduleSerializer",
    "SendLocalListSerializer",
    "SetVariableSerializer",
    "StopRequestSerializer",
    "TaskSerializer",
    "UploadSerializer",
    "task_url",
]
