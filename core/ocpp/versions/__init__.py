"""The OCPP versions that are spoken here. All that differs between them in the protocol is in their `Version`."""

from collections.abc import Iterator
from typing import Any

from core.ocpp.versions.base import UNREADABLE, Version
from core.ocpp.versions.ocpp16 import OCPP16
from core.ocpp.versions.ocpp201 import OCPP201

__all__ = ["BY_SUBPROTOCOL", "OCPP16", "OCPP201", "UNREADABLE", "Version", "listed_values", "may_be_secret"]
__all__ += ["negotiate"]

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


def listed_values(action: str, member: str) -> list[str]:
    """Return the values that any version lists for `member`, at any depth of the requests of `action`."""
    requests = (v.schemas.requests[action].resolved for v in BY_SUBPROTOCOL.values() if action in v.schemas.actions)
    return list(dict.fromkeys(value for tree in requests for value in _enumerated(tree, member)))


def _enumerated(tree: Any, member: str) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, branch in tree.items():
            if name == member and isinstance(branch, dict):
                yield from branch.get("enum", ())
            yield from _enumerated(branch, member)
