"""Pass requests of cars for contract certificates on to the provider (OCPP 2.0.1 M01, M02).

The provider is the server at ISO15118_PROVIDER_URL. It gets a POST with the JSON members `action` (Install or
Update), `iso15118SchemaVersion`, `exiRequest` and `charger_id`, and answers with `status` (Accepted or Failed) and
`exiResponse`.
"""

from dataclasses import dataclass

import orjson
import requests
from django.conf import settings

from core.http import bounded
from core.ocpp.redaction import without_secrets

LIMITS = bounded.Limits(timeouts_s=(3.05, 10), duration_s=15)
MAX_EXI_LENGTH = 7500  # characters of exiResponse


@dataclass(frozen=True)
class Answer:
    """The answer for the car; `detail` says why it is a failure, for the operator."""

    status: str
    exi_response: str = ""
    detail: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.status == "Accepted"


def failed(detail: str) -> Answer:
    return Answer("Failed", detail=detail)


def server() -> str:
    """Return the URL of the provider without its login."""
    url: str = without_secrets(settings.ISO15118_PROVIDER_URL)
    return url


def request(action: str, schema_version: str, exi_request: str, charger_id: str) -> Answer:
    """Send the request to the provider, which may take seconds."""
    if not settings.ISO15118_PROVIDER_URL:
        return failed("ISO15118_PROVIDER_URL is not set.")
    body = {"action": action, "iso15118SchemaVersion": schema_version, "exiRequest": exi_request}
    try:
        content = _post(body | {"charger_id": charger_id})
        members = orjson.loads(content)
        status, exi = str(members["status"]), str(members.get("exiResponse", ""))
    except (requests.RequestException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return failed(f"The provider gave no usable answer: {type(error).__name__}: {without_secrets(str(error))}")
    if status not in ("Accepted", "Failed") or len(exi) > MAX_EXI_LENGTH:
        return failed("The answer of the provider cannot be passed on to a charger.")
    return Answer(status, exi, "" if status == "Accepted" else "The provider has refused the request.")


def _post(body: dict[str, str]) -> bytes:
    """POST `body` to the provider. Its address may be private, because it is a setting of this server."""
    token = settings.ISO15118_PROVIDER_TOKEN
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with requests.Session() as session:
        session.trust_env = False
        return bounded.post(session, settings.ISO15118_PROVIDER_URL, orjson.dumps(body), headers, LIMITS)
