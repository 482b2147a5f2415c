"""Models of commands, batches, campaigns and schedules; `library` has those of profiles, lists and files."""

from commands.models.at_chargers import DisplayMessage, PublishedFirmware
from commands.models.batch import Batch, BatchItem
from commands.models.campaign import Campaign, CampaignItem
from commands.models.certificates import CertificateInquiry, ContractRoot
from commands.models.charging import EVChargingNeeds, EVChargingSchedule
from commands.models.command import (
    ANSWERED,
    CALL_ERROR,
    CANCELLED,
    CONFIRMATIONS,
    CONFIRMED,
    CONNECTION_LOST,
    FAILED,
    FINISHED,
    INVALID_RESPONSE,
    NOT_APPLICABLE,
    NOT_CONNECTED,
    NOT_SEEN,
    OUTCOMES,
    PENDING,
    QUEUED,
    SENT,
    SILENT,
    SUCCESSES,
    TIMED_OUT,
    Command,
    new_task_id,
    next_request_id,
)
from commands.models.command_totals import CommandDayTotal, CommandMonthTotal, DeletedCommands, StaleCommandDay
from commands.models.library import (
    CertificateRequest,
    ChargingProfile,
    Firmware,
    LocalList,
    Upload,
    next_profile_id,
    upload_path,
)
from commands.models.power_limits import LimitedPlace, PowerLimit
from commands.models.reports import CustomerInformationPart, ReportPart
from commands.models.schedule import Schedule
