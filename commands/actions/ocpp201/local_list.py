"""SendLocalList and GetLocalListVersion of OCPP 2.0.1 (D01, D02)."""

from functools import partial

from chargers.models import Charger
from chargers.services import variables
from commands.actions import local_lists
from commands.actions.local_lists import Entry, Form, Limits
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


def _limits(charger: Charger) -> Limits:
    reported = variables.numbers([charger.pk], "ItemsPerMessage", "BytesPerMessage", component=CONTROLLER)
    return Limits(reported.get((charger.pk, "ItemsPerMessage")), reported.get((charger.pk, "BytesPerMessage")))


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
    limits=_limits,
    omits_empty=True,  # the schema has no empty list, and a Full list without one empties that of the charger
)
complete = partial(local_lists.complete, FORM)
check = partial(local_lists.check, FORM)
was_sent = partial(local_lists.was_sent, FORM)
version_reported = partial(local_lists.version_reported, FORM)
payload_for_retry = partial(local_lists.for_retry, FORM)
