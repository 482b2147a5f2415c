"""SendLocalList and GetLocalListVersion of OCPP 2.0.1 (D01, D02)."""

from functools import partial

from chargers.models import Charger
from commands.actions import local_lists
from commands.actions.local_lists import DIFFERENTIAL, LIST, Entry, Form
from commands.actions.ocpp201 import portions
from commands.actions.ocpp201.id_tokens import USUAL, id_token, id_token_info
from core.ocpp.schemas import JSON
from core.ocpp.versions import OCPP201
from transactions.services.id_tokens import KnownTag

CONTROLLER = "LocalAuthListCtrlr"


def _types(same_text: dict[str, KnownTag]) -> list[str]:
    """A token of any type is listed with the usual one, unless there is another token with that."""
    return list(dict.fromkeys(kind or USUAL for kind in same_text))


def _token(text: str, type: str) -> JSON:
    return {"idToken": id_token(text, type)}


def _identity(entry: Entry) -> tuple[str, str]:
    return entry["idToken"]["idToken"], entry["idToken"]["type"]


FORM = Form(
    version=OCPP201,
    number="versionNumber",
    info="idTokenInfo",
    is_reserved=lambda number: number <= 0,
    reserved="The version of a list is greater than 0 (D01.FR.18).",
    token=_token,
    identity=_identity,
    types=_types,
    encode=id_token_info,
    omits_empty=True,  # the schema has no empty list, and a Full list without one empties that of the charger
)
complete = partial(local_lists.complete, FORM)
check = partial(local_lists.check, FORM)
was_sent = partial(local_lists.was_sent, FORM)
version_reported = partial(local_lists.version_reported, FORM)
payload_for_retry = partial(local_lists.for_retry, FORM)


def portions_of_list(payload: JSON, charger: Charger) -> list[JSON]:
    """The first portion replaces the list if the whole does, the others add to it, and each has the next version."""
    number, entries = payload[FORM.number], payload.get(LIST, [])
    longest = payload | {FORM.number: number + len(entries), "updateType": DIFFERENTIAL}
    parts = portions.of("SendLocalList", longest, LIST, charger, CONTROLLER, instance="")
    kinds = [payload["updateType"]] + [DIFFERENTIAL] * len(parts)
    return [part | {FORM.number: number + place, "updateType": kinds[place]} for place, part in enumerate(parts)]
