"""Requests that exceed what a charger takes in one message are sent in several CALLs (B05.FR.11, B06.FR.05).

The first command carries the first portion. The others are commands of their own, which are submitted with it, follow
it (`follows`), and are sent after it in order. So each portion has its own answer, and none is lost by a restart.
"""

from chargers.models import Charger
from chargers.services import variables
from commands.actions.splitting import size, split
from core.ocpp.schemas import JSON

DEVICE_DATA = "DeviceDataCtrlr"
LIMITS = "ItemsPerMessage", "BytesPerMessage"
# Of a CALL around its action and payload: brackets, commas, quotes and a message id of 36 characters.
FRAME_BYTES = 48


def of(
    action: str,
    payload: JSON,
    member: str,
    charger: Charger,
    component: str = DEVICE_DATA,
    instance: str | None = None,
    unlike: frozenset[str] = frozenset(),
) -> list[JSON]:
    """Return the payloads by which to send `payload`, whose list `member` may be too long for one message.

    The charger reports LIMITS as variables of `component`, where 0 is no limit, with the action as instance
    unless `instance` is another one. A single item that exceeds the bytes is sent nevertheless, and the charger
    decides. `unlike` are members that only the first payload has, because they are generated for each command.
    """
    items, instance = payload.get(member, []), action if instance is None else instance
    limits = variables.numbers([charger.pk], *LIMITS, component=component, instance=instance)
    most_items, most_bytes = (limits.get((charger.pk, name)) for name in LIMITS)
    around = FRAME_BYTES + len(action) + size({**payload, member: []})
    lists = split(items, most_items or len(items), most_bytes - around if most_bytes else None)
    others = {name: value for name, value in payload.items() if name not in unlike}
    return [{**(others if number else payload), member: part} for number, part in enumerate(lists)] or [payload]
