"""The OCPP versions that chargers may speak here, each with its handlers of inbound messages."""

from collections.abc import Callable, Mapping
from typing import Any

from core.ocpp.calls import Call
from core.ocpp.versions import OCPP16, OCPP201, Version
from gateway import ocpp16, ocpp201

Handler = Callable[[list[Call]], list[dict[str, Any]]]

# {version: {action: its handler}}. The first version is spoken with a charger that offers no subprotocol.
HANDLERS: Mapping[Version, Mapping[str, Handler]] = {OCPP16: ocpp16.HANDLERS, OCPP201: ocpp201.HANDLERS}
DEFAULT = next(iter(HANDLERS))
