"""Models of chargers (`charger`), access and the audit log (`access`), events and webhooks (`events`).

Sites are in `sites`, incidents and who is notified of them in `incidents`.

Logged frames are in `messages`, deviations from OCPP in `findings`, refused handshakes in `refusals`, the values that
chargers reported in `variables`, and the monitors of these, with their events, in `monitors`.
"""

from chargers.models.access import ApiToken, AuditEntry, ChargerGroup
from chargers.models.charger import (
    MESSAGE_LOGS,
    NOT_ACCEPTED,
    ONLINE,
    REGISTRATIONS,
    REJECTED,
    SECURITY_PROFILES,
    VALIDATIONS,
    Charger,
    Connector,
    DataTransfer,
    HeldSerial,
    InstalledCertificate,
    InstalledProfile,
    SecurityEvent,
    effective_status,
    summary_status,
)
from chargers.models.charging import ChargingLimit
from chargers.models.events import Delivery, Event, Webhook
from chargers.models.findings import Finding
from chargers.models.incidents import Incident, IncidentEntry, NotificationDelivery, NotificationRule
from chargers.models.messages import Message
from chargers.models.monitors import Monitor, MonitoringEvent
from chargers.models.refusals import Refusal
from chargers.models.sites import Site
from chargers.models.variables import NetworkProfile, Variable, VariableChange
