"""The OCPP versions that chargers may speak here, each with its handlers of inbound messages."""

from collections.abc import Mapping

from core.ocpp.versions import OCPP16, OCPP201, Version
from gateway import ocpp16, ocpp201
from gateway.common import Handler, Lookup

# {version: {action: its handler}}. The first version is spoken with a charger that offers no subprotocol.
HANDLERS: Mapping[Version, Mapping[str, Handler]] = {OCPP16: ocpp16.HANDLERS, OCPP201: ocpp201.HANDLERS}
# {version: {action: what it needs from another server}}, of the few messages that need something.
LOOKUPS: Mapping[Version, Mapping[str, Lookup]] = {OCPP201: ocpp201.LOOKUPS}
DEFAULT = next(iter(HANDLERS))
