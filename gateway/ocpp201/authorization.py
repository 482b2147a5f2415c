"""Handle the messages of OCPP 2.0.1 that request the authorization of an id token (block C)."""

from dataclasses import replace
from typing import Any

from commands.actions.ocpp201.id_tokens import id_token_info
from core.ocpp.calls import Call
from gateway.ocpp201.contracts import record_contracts, with_contract
from transactions.services import costs, id_tokens
from transactions.services.id_tokens import Presented, Verdict


def authorize(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer with the verdict on a token, and on the contract certificate that comes with it (C01 to C09, C16)."""
    tokens = [presented(call, call.payload["idToken"]) for call in calls]
    verdicts = map(id_token_info, with_tariffs(tokens, id_tokens.authorize(tokens)))
    answers = [with_contract(call, token) for call, token in zip(calls, verdicts, strict=True)]
    record_contracts(calls, answers)
    return answers


def with_tariffs(tokens: list[Presented], verdicts: list[Verdict]) -> list[Verdict]:
    """Return `verdicts` with the text of the tariff for the driver, where a token has no message of its own (I01)."""
    texts = costs.texts(tokens)
    return [
        replace(verdict, message=texts[n])
        if n in texts and verdict.status == "Accepted" and not verdict.message
        else verdict
        for n, verdict in enumerate(verdicts)
    ]


def presented(call: Call, id_token: dict[str, Any]) -> Presented:
    """Decode an IdTokenType."""
    return Presented(call, id_token["idToken"], id_token["type"])
