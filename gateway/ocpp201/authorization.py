"""Handle Authorize of OCPP 2.0.1 (C01 to C07)."""

from typing import Any

from core.ocpp.calls import Call
from gateway.ocpp201.contracts import record_contracts, with_contract
from gateway.ocpp201.transactions import id_token_info
from transactions.services import id_tokens


def authorize(calls: list[Call]) -> list[dict[str, Any]]:
    """Answer with the verdict on a token, and on the contract certificate that comes with it."""
    verdicts = id_tokens.authorize([(call, call.payload["idToken"]["idToken"]) for call in calls])
    tokens = [id_token_info(verdict) for verdict in verdicts]
    answers = [with_contract(call, token) for call, token in zip(calls, tokens, strict=True)]
    record_contracts(calls, answers)
    return answers
