"""The OCPP versions that are spoken here. All that differs between them in the protocol is in their `Version`."""

from core.ocpp.versions.base import UNREADABLE, Version
from core.ocpp.versions.ocpp16 import OCPP16
from core.ocpp.versions.ocpp201 import OCPP201

__all__ = ["BY_SUBPROTOCOL", "OCPP16", "OCPP201", "UNREADABLE", "Version", "may_be_secret", "negotiate"]

BY_SUBPROTOCOL = {version.subprotocol: version for version in (OCPP16, OCPP201)}


def negotiate(offered: list[str]) -> Version | None:
    """Return the version of the first subprotocol in `offered` that is spoken here, None if there is none."""
    return next((BY_SUBPROTOCOL[name] for name in offered if name in BY_SUBPROTOCOL), None)


def may_be_secret(message: str, path: str) -> bool:
    """Whether the member `path` of `message` ("Reset", "ResetResponse") is declared secret in any version.

    `path` may have numbers for the items of lists.
    """
    members = ".".join(step for step in path.split(".") if not step.isdecimal())
    return any(members in version.secrets.get(message, ()) for version in BY_SUBPROTOCOL.values())
