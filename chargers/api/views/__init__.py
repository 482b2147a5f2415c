"""REST views of this app."""

from chargers.api.views.access import ApiTokenViewSet, AuditEntryList
from chargers.api.views.chargers import (
    ChargerViewSet,
    DataTransferList,
    SecurityEventList,
    charger_status,
)
from chargers.api.views.events import DeliveryList, EventList, WebhookViewSet, event_stream, replay_delivery
from chargers.api.views.findings import FindingList
from chargers.api.views.messages import MessageList
from chargers.api.views.refusals import RefusalViewSet

__all__ = [
    "ApiTokenViewSet",
    "AuditEntryList",
    "ChargerViewSet",
    "DataTransferList",
    "DeliveryList",
    "EventList",
    "FindingList",
    "MessageList",
    "RefusalViewSet",
    "SecurityEventList",
    "WebhookViewSet",
    "charger_status",
    "event_stream",
    "replay_delivery",
]
