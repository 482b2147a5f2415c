"""Tasks, the bodies that ask for them, and what they use, in `commands`; batches and schedules in `batches`."""

from commands.serializers.batches import (
    BatchRequestSerializer,
    BatchSerializer,
    MemberSerializer,
    ScheduleSerializer,
)
from commands.serializers.commands import (
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
    "StopRequestSerializer",
    "TaskSerializer",
    "UploadSerializer",
    "task_url",
]
