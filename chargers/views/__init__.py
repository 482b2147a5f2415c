"""REST views of this app."""

from chargers.views.access import ApiTokenViewSet, AuditEntryList
from chargers.views.chargers import (
    ChargerViewSet,
    DataTransferList,
    SecurityEventList,
    charger_status,
)
from chargers.views.events import DeliveryList, EventList, WebhookViewSet, event_stream, replay_delivery
from chargers.views.findings import FindingList
from chargers.views.messages import MessageList
from chargers.views.refusals import RefusalViewSet

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
