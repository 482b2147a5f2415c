"""Each of the 64 messages of OCPP 2.0.1 has a stored effect that the API shows."""

from datetime import UTC, datetime

import pytest

from commands.actions.table import ACTIONS
from commands.models import Command
from core.ocpp.calls import Call
from core.ocpp.versions import OCPP201
from gateway.protocols import HANDLERS
from tests.support.builders import NOON, a_charger, a_command, settle
from tests.support.negatives import sample
from tests.support.routes import rest_lists
from transactions.models import Reservation

pytestmark = pytest.mark.django_db
API = "/api/ocpp"
BOTH_WAYS = {"DataTransfer"}
# Members of which the sample of the schema means nothing.
MEANT = {
    "MeterValues": {"meterValue": [{"timestamp": NOON, "sampledValue": [{"value": 9}]}]},
    "NotifyCustomerInformation": {"requestId": 7, "tbc": False, "seqNo": 0},
    "PublishFirmwareStatusNotification": {"status": "Downloading"},
    "ReservationStatusUpdate": {"reservationId": 7, "reservationUpdateStatus": "Removed"},
    "SignCertificate": {"csr": "none"},
    "TransactionEvent": {"eventType": "Started", "timestamp": NOON},
}


def shown(api, charger):
    """Everything that the API shows of the charger."""
    lists = {resource: api.get(f"{API}/{resource}/").json() for resource in rest_lists()}
    task = Command.objects.order_by("-pk").values_list("task_id", flat=True).first()
    tasks = api.get(f"{API}/tasks/{task}/").json() if task else {}
    return lists | {"charger": api.get(f"{API}/chargers/{charger.identity}/").json(), "task": tasks}


def send(charger, action, payload):
    settle(Call(charger.pk, action, action, payload, datetime.now(UTC), version=OCPP201))


def without_last_seen(value):
    if isinstance(value, dict):
        return {name: without_last_seen(inner) for name, inner in value.items() if name != "last_seen"}
    return [without_last_seen(inner) for inner in value] if isinstance(value, list) else value


def test_the_tables_hold_the_64_messages():
    assert len(HANDLERS[OCPP201].keys() | ACTIONS[OCPP201].keys()) == 64
    assert HANDLERS[OCPP201].keys() & ACTIONS[OCPP201].keys() == BOTH_WAYS
    assert HANDLERS[OCPP201].keys() | ACTIONS[OCPP201].keys() == OCPP201.schemas.actions


@pytest.mark.parametrize("action", sorted(HANDLERS[OCPP201]))
def test_what_a_charger_sends_is_shown(api, action):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    a_command(charger, "CustomerInformation", {"requestId": 7}, request_id=7, state="sent")
    Reservation.objects.create(id=7, charger=charger, connector_id=1, id_tag="7", expiry_date=NOON, state="Active")
    if action == "MeterValues":
        begun = {"eventType": "Started", "timestamp": NOON, "evse": {"id": sample(action, OCPP201)["evseId"]}}
        send(charger, "TransactionEvent", sample("TransactionEvent", OCPP201) | begun)
    before = shown(api, charger)
    send(charger, action, sample(action, OCPP201) | MEANT.get(action, {}))
    after = shown(api, charger)
    if action != "Heartbeat":  # every message is a sign of life, and this one is nothing more
        before, after = without_last_seen(before), without_last_seen(after)
    assert [name for name in after if after[name] != before[name]], "nothing of the API has changed"


@pytest.mark.parametrize("action", sorted(ACTIONS[OCPP201]))
def test_the_answer_to_a_command_is_shown(api, action):
    response = {"status": "Accepted", "customData": {"vendorId": action}}
    columns = {"state": "finished", "outcome": "answered", "response": response}
    command = a_command(a_charger(ocpp_version="ocpp2.0.1"), action, **columns)
    assert api.get(f"{API}/tasks/{command.task_id}/").json()["response"] == response
