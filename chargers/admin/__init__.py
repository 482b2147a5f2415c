"""Chargers and what they told, in `chargers`; groups, tokens and the audit log, in `access`."""

from chargers.admin.access import ApiTokenAdmin, AuditEntryAdmin, ChargerGroupAdmin
from chargers.admin.chargers import OURS, AsSent, ChargerAdmin, Commandable, ReadOnly, Scoped

__all__ = [
    "OURS",
    "ApiTokenAdmin",
    "AsSent",
    "AuditEntryAdmin",
    "ChargerAdmin",
    "ChargerGroupAdmin",
    "Commandable",
    "ReadOnly",
    "Scoped",
]
