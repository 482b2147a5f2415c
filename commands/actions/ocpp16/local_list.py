"""SendLocalList and GetLocalListVersion of OCPP 1.6 (§5.15, §5.10)."""

from collections.abc import Iterator
from functools import partial

from chargers.models import Charger
from chargers.services import variables
from commands.actions import local_lists
from commands.actions.local_lists import Entry, Form
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import to_rfc3339
from core.ocpp.versions import OCPP16
from transactions.services.id_tokens import INVALID, KnownTag, Verdict, of_type

# Statuses of an IdTagInfo (OCPP 1.6 §7.2).
STATUSES = ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")


def id_tag_info(verdict: Verdict) -> JSON:
    """Return the IdTagInfo of a verdict (OCPP 1.6 §7.27), which has no other statuses than STATUSES."""
    expires = {"expiryDate": to_rfc3339(verdict.expires)} if verdict.expires else {}
    group = {"parentIdTag": verdict.group} if verdict.group else {}
    return {"status": verdict.status if verdict.status in STATUSES else INVALID.status} | expires | group


def _types(same_text: dict[str, KnownTag]) -> list[str]:
    return [""] if of_type(same_text, "") else []


def _token(text: str, type: str) -> JSON:
    return {"idTag": text}


def _identity(entry: Entry) -> tuple[str, str]:
    return entry["idTag"], ""


FORM = Form(
    version=OCPP16,
    number="listVersion",
    info="idTagInfo",
    is_reserved=lambda number: number in (0, -1),
    reserved="0 and -1 are reserved (1.6 errata 3.52).",
    token=_token,
    identity=_identity,
    types=_types,
    encode=id_tag_info,
    omits_empty=False,
)
complete = partial(local_lists.complete, FORM)
was_sent = partial(local_lists.was_sent, FORM)
version_reported = partial(local_lists.version_reported, FORM)
payload_for_retry = partial(local_lists.for_retry, FORM)


def check(payload: JSON, charger: Charger) -> Iterator[str]:
    yield from local_lists.check(FORM, payload, charger)
    entries = payload.get(local_lists.LIST, [])
    for limit in variables.numbers([charger.pk], "SendLocalListMaxLength").values():
        if len(entries) > limit:
            yield f"The charger's SendLocalListMaxLength is {limit}, this list has {len(entries)} tags."
