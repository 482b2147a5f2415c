"""The OCPP versions that are spoken here. All that differs between them in the protocol is in their `Version`."""

from core.ocpp.versions.base import Version
from core.ocpp.versions.ocpp16 import OCPP16
from core.ocpp.versions.ocpp201 import OCPP201

__all__ = ["BY_SUBPROTOCOL", "OCPP16", "OCPP201", "Version"]

BY_SUBPROTOCOL = {version.subprotocol: version for version in (OCPP16, OCPP201)}
