"""Models of commands, batches and schedules; `library` has those of profiles, lists, certificates and files."""

from chargers.services.audit import SYSTEM_ACTOR
from commands.models.batch import Batch, BatchItem
from commands.models.command import (
    ANSWERED,
    CALL_ERROR,
    CANCELLED,
    CONNECTION_LOST,
    FAILED,
    FINISHED,
    INVALID_RESPONSE,
    NOT_CONNECTED,
    OUTCOMES,
    QUEUED,
    SENT,
    SILENT,
    TIMED_OUT,
    Command,
    new_task_id,
    next_request_id,
)
from commands.models.library import (
    CertificateRequest,
    ChargingProfile,
    Firmware,
    LocalList,
    Upload,
    next_profile_id,
    upload_path,
)
from commands.models.schedule import Schedule

__all__ = [
    "ANSWERED",
    "CALL_ERROR",
    "CANCELLED",
    "CONNECTION_LOST",
    "FAILED",
    "FINISHED",
    "INVALID_RESPONSE",
    "NOT_CONNECTED",
    "SYSTEM_ACTOR",
    "OUTCOMES",
    "QUEUED",
    "SENT",
    "SILENT",
    "TIMED_OUT",
    "Batch",
    "CertificateRequest",
    "ChargingProfile",
    "Command",
    "Firmware",
    "LocalList",
    "BatchItem",
    "Schedule",
    "Upload",
    "new_task_id",
    "next_profile_id",
    "next_request_id",
    "upload_path",
]
