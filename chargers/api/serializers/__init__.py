"""Serializers of this app."""

from chargers.api.serializers.access import ApiTokenSerializer, AuditEntrySerializer, NewApiTokenSerializer
from chargers.api.serializers.chargers import (
    REPORTED_FIELDS,
    ChargerDetailSerializer,
    ChargerSerializer,
    ConfigurationKeySerializer,
    ConnectorSerializer,
    DataTransferSerializer,
    InstalledCertificateSerializer,
    InstalledProfileSerializer,
    NewKeySerializer,
    SavedChargerSerializer,
    SecurityEventSerializer,
    StatusSerializer,
    VariableSerializer,
)
from chargers.api.serializers.events import (
    DeliverySerializer,
    EventSerializer,
    NewWebhookSerializer,
    ReplayedSerializer,
    WebhookSerializer,
)
from chargers.api.serializers.findings import FindingSerializer
from chargers.api.serializers.messages import MessageSerializer
from chargers.api.serializers.refusals import RefusalSerializer

__all__ = [
    "ApiTokenSerializer",
    "AuditEntrySerializer",
    "ChargerDetailSerializer",
    "ChargerSerializer",
    "ConfigurationKeySerializer",
    "ConnectorSerializer",
    "DataTransferSerializer",
    "DeliverySerializer",
    "EventSerializer",
    "FindingSerializer",
    "InstalledCertificateSerializer",
    "InstalledProfileSerializer",
    "MessageSerializer",
    "NewApiTokenSerializer",
    "NewKeySerializer",
    "NewWebhookSerializer",
    "RefusalSerializer",
    "ReplayedSerializer",
    "SavedChargerSerializer",
    "SecurityEventSerializer",
    "StatusSerializer",
    "VariableSerializer",
    "REPORTED_FIELDS",
    "WebhookSerializer",
]
