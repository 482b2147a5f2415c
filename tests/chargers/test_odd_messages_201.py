"""Messages of OCPP 2.0.1 that lenient or strict validation admits are processed, whatever is odd about one member."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from chargers.models import Charger
from commands.models import Command
from core.ocpp import schemas, tolerance
from core.ocpp.calls import Call
from core.ocpp.versions import OCPP201
from gateway.ocpp201 import HANDLERS
from tests.support.builders import outcomes
from tests.support.negatives import cases, changed, members, sample

pytestmark = pytest.mark.django_db(transaction=True)
# Values of the right type that some column could not hold.
ODD = {
    "integer": [2**31, 2**62, -(2**31) - 1, -1, 0],
    "number": [1e300, -1e300, 2**62],
    "string": ["", "x" * 3000, "a\x00b", "9" * 400],
    "array": [[]],
    "object": [{}],
}
# The command whose later delivery a message is, with what its effects need of the payload.
DELIVERS = {
    "NotifyCustomerInformation": ("CustomerInformation", {}),
    "NotifyDisplayMessages": ("GetDisplayMessages", {}),
    "NotifyMonitoringReport": ("GetMonitoringReport", {}),
    "NotifyReport": ("GetReport", {}),
    "PublishFirmwareStatusNotification": ("PublishFirmware", {"location": "x", "checksum": "y"}),
    "ReportChargingProfiles": ("GetChargingProfiles", {"chargingProfile": {}}),
}


def odd_payloads(action):
    """(name, payload) of messages with one fault, or with one odd value."""
    name = OCPP201.schemas.requests[action].name
    yield from ((str(case), case.payload) for case in cases(name, OCPP201))
    whole = sample(name, OCPP201)
    for path, member, _ in members(name, OCPP201):
        for value in ODD.get(member.get("type"), []):
            yield f"{path} {str(value)[:12]!r}", changed(whole, path, value)


def read(action, payload, lenient):
    """The payload as its handler gets it, None for a message that is refused."""
    is_clean = "\\u0000" not in json.dumps(payload)
    if not is_clean and not lenient:  # no frame with U+0000 is read
        return None
    try:
        reading = tolerance.read_request(OCPP201, action, payload, lenient, is_clean)
    except schemas.Violation:
        return None
    return reading.payload if reading else payload


@pytest.mark.parametrize("lenient", [True, False], ids=["lenient", "strict"])
@pytest.mark.parametrize("action", sorted(HANDLERS))
def test_an_odd_member_fails_no_message(action, lenient):
    admitted = {name: payload for name, sent in odd_payloads(action) if (payload := read(action, sent, lenient))}
    now = datetime.now(UTC)
    rows = [Charger(identity=name[:255], ocpp_version="ocpp2.0.1") for name in admitted]
    chargers = Charger.objects.bulk_create(rows)
    if action in DELIVERS:
        command, payload = DELIVERS[action]
        about = {"action": command, "payload": payload, "request_id": 1, "timeout": 30, "ocpp_version": "ocpp2.0.1"}
        Command.objects.bulk_create(
            Command(charger=charger, task_id=uuid4(), state="sent", sent_at=now, **about) for charger in chargers
        )
    calls = [
        Call(charger.pk, uuid4().hex, action, payload, now, version=OCPP201)
        for charger, payload in zip(chargers, admitted.values(), strict=True)
    ]
    answers = dict(zip(admitted, outcomes(*calls), strict=True))
    assert not {name: answer for name, answer in answers.items() if isinstance(answer, Exception)}
    for answer in answers.values():
        OCPP201.schemas.check_response(action, json.loads(answer)[2])
