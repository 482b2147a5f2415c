"""The admin of this app, with one module for each module of models."""

from chargers.admin.access import ApiTokenAdmin, AuditEntryAdmin, ChargerGroupAdmin
from chargers.admin.chargers import OPERATOR_FIELDS, AsSent, ChargerAdmin, Commandable, ReadOnly, Scoped
from chargers.admin.events import DeliveryAdmin, EventAdmin, WebhookAdmin
from chargers.admin.findings import FindingAdmin
from chargers.admin.messages import MessageAdmin
from chargers.admin.refusals import RefusalAdmin

__all__ = [
    "OPERATOR_FIELDS",
    "ApiTokenAdmin",
    "AsSent",
    "AuditEntryAdmin",
    "ChargerAdmin",
    "ChargerGroupAdmin",
    "Commandable",
    "DeliveryAdmin",
    "EventAdmin",
    "FindingAdmin",
    "MessageAdmin",
    "ReadOnly",
    "RefusalAdmin",
    "Scoped",
    "WebhookAdmin",
]
