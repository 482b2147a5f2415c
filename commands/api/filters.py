"""Filters of the lists of commands, of the items of batches, of uploads and certificates."""

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from chargers.api.filters import AsSent, OfCharger, YesOrNo
from chargers.models import Site
from commands.actions.table import NAMES
from commands.models import (
    CONFIRMATIONS,
    Batch,
    BatchItem,
    Campaign,
    CampaignItem,
    CertificateRequest,
    Command,
    DisplayMessage,
    PowerLimit,
    PublishedFirmware,
    Schedule,
    Upload,
)
from commands.models.batch import CANCELLED, REFUSED, SHOWN, WAITING


class OfAction(AsSent):
    """`?action=`, one of the commands of any version."""

    action = filters.ChoiceFilter(choices=[(name, name) for name in NAMES])


class CommandFilter(OfAction, OfCharger):
    follows = filters.CharFilter("follows__task_id")

    class Meta:
        model = Command
        fields = ["action", "state", "outcome", "simulated", "confirmation"]


class UploadFilter(OfCharger):
    task_id = filters.CharFilter("command__task_id")
    action = filters.CharFilter("command__action")

    class Meta:
        model = Upload
        fields = ["id", "size", "received_at", "expires_at"]


class DisplayMessageFilter(OfCharger):
    transaction_id = filters.NumberFilter("transaction", min_value=0, max_value=2**31 - 1)

    class Meta:
        model = DisplayMessage
        fields = [
            *("id", "message_id", "priority", "state", "start_at", "end_at", "transaction_reference", "format"),
            *("language", "content", "component", "component_instance", "evse_id", "connector_id"),
            *("accepted_at", "reported_at"),
        ]


class PublishedFirmwareFilter(OfCharger):
    class Meta:
        model = PublishedFirmware
        fields = ["id", "checksum", "request_id", "status", "updated_at"]


class CertificateFilter(OfCharger):
    task_id = filters.CharFilter("command__task_id")

    class Meta:
        model = CertificateRequest
        fields = ["id", "certificate_type", "common_name", "state", "serial_number", "not_after", "received_at"]


class BatchFilter(OfAction):
    class Meta:
        model = Batch
        fields = ["intent", "action", "requested_by", "schedule"]


class BatchItemFilter(OfCharger):
    state = filters.ChoiceFilter(choices=[(s, s) for s in SHOWN], method="in_state")
    outcome = filters.CharFilter("command__outcome")
    simulated = YesOrNo("command__simulated")
    confirmation = filters.ChoiceFilter("command__confirmation", choices=[(c, c) for c in CONFIRMATIONS])

    class Meta:
        model = BatchItem
        fields: list[str] = []

    def in_state(self, rows: QuerySet[BatchItem], name: str, state: str) -> QuerySet[BatchItem]:
        """The items whose shown state is `state`."""
        is_item_state = state in (WAITING, CANCELLED, REFUSED)
        return rows.filter(state=state) if is_item_state else rows.filter(command__state=state)


class PowerLimitFilter(OfCharger):
    state = filters.ChoiceFilter(choices=[(s, s) for s in ("active", "removing", "ended")], method="in_state")

    class Meta:
        model = PowerLimit
        fields = ["id", "evse_id", "amount", "unit", "created_by", "created_at", "removed_at", "ended_at"]

    def at_site(self, rows: QuerySet[PowerLimit], site: Site) -> QuerySet[PowerLimit]:
        """Filter to the limits of a site and of its chargers."""
        return rows.filter(Q(site=site) | Q(charger__site=site))

    def in_state(self, rows: QuerySet[PowerLimit], name: str, state: str) -> QuerySet[PowerLimit]:
        wanted = {"active": Q(removed_at=None), "ended": Q(ended_at__isnull=False)}
        return rows.filter(wanted.get(state, Q(removed_at__isnull=False, ended_at=None)))


class CampaignFilter(AsSent):
    class Meta:
        model = Campaign
        fields = ["id", "name", "firmware", "state", "requested_by", "created_at", "started_at", "finished_at"]


class CampaignItemFilter(OfCharger):
    confirmation = filters.ChoiceFilter("command__confirmation", choices=[(c, c) for c in CONFIRMATIONS])

    class Meta:
        model = CampaignItem
        fields = ["state", "is_canary"]


class ScheduleFilter(OfAction):
    class Meta:
        model = Schedule
        fields = ["name", "intent", "action", "is_enabled"]
