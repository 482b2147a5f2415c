"""What a charger is and told, in `charger`; who may reach it, and who did what, in `access`."""

from chargers.models.access import ApiToken, AuditEntry, ChargerGroup
from chargers.models.charger import (
    NOT_ACCEPTED,
    REGISTRATIONS,
    SECURITY_PROFILES,
    Charger,
    ConfigurationKey,
    Connector,
    DataTransfer,
    InstalledCertificate,
    InstalledProfile,
    SecurityEvent,
    standing,
    telling_status,
)

__all__ = [
    "NOT_ACCEPTED",
    "REGISTRATIONS",
    "SECURITY_PROFILES",
    "ApiToken",
    "AuditEntry",
    "Charger",
    "ChargerGroup",
    "ConfigurationKey",
    "Connector",
    "DataTransfer",
    "InstalledCertificate",
    "InstalledProfile",
    "SecurityEvent",
    "standing",
    "telling_status",
]
