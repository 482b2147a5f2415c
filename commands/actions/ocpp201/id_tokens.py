"""Id tokens and the information about them, as OCPP 2.0.1 writes them (IdTokenType, IdTokenInfoType)."""

from typing import Any

from core.ocpp.schemas import JSON
from core.ocpp.timestamps import to_rfc3339
from transactions.models import IdTag
from transactions.services.id_tokens import Verdict

CENTRAL = "Central"  # the type of a token that the central system knows alone
USUAL = "ISO14443"  # the type that most cards have: a stored token of any type is sent with it


def id_token(text: str, type: str) -> JSON:
    """Return the IdTokenType of a token; one that is stored without a type gets the usual one."""
    return {"idToken": text, "type": type or USUAL}


def group_id_token(group: str) -> JSON:
    """Return the IdTokenType of a group, which only the central system knows."""
    return {"idToken": group, "type": CENTRAL}


def id_token_info(verdict: Verdict) -> JSON:
    """Return the IdTokenInfoType of a verdict, with the group in every kind of answer (C09.FR.09, .12)."""
    info: JSON = {"status": verdict.status}
    if verdict.expires:
        info["cacheExpiryDateTime"] = to_rfc3339(verdict.expires)
    if verdict.language:
        info["language1"] = verdict.language
    if verdict.group:
        info["groupIdToken"] = group_id_token(verdict.group)
    if verdict.message:
        language = {"language": verdict.language} if verdict.language else {}
        info["personalMessage"] = {"format": "UTF8", **language, "content": verdict.message}
    return info


def with_type(token: Any, default: str = USUAL) -> Any:
    """Return a client's IdTokenType; without a type it gets that of the id tag of this name, else the default."""
    if not isinstance(token, dict) or "type" in token or not isinstance(token.get("idToken"), str):
        return token
    known = IdTag.objects.filter(id_tag__iexact=token["idToken"]).exclude(type="").first()
    return token | {"type": known.type if known else default}
