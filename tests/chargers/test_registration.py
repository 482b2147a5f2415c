"""The boot policy, and messages to and from a charger that is not accepted (OCPP 1.6 §4.2, J errata 3.10)."""

import json

import pytest

from commands.models import Command
from commands.services import delivery
from core.ocpp.versions import OCPP16, OCPP201
from gateway import vendors
from gateway.calls import commits
from gateway.commits import Batch, Entry
from gateway.protocols import HANDLERS
from tests.support.builders import a_call, a_charger, a_command, tell

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
pytestmark = pytest.mark.django_db


def outcome(charger, action, **payload):
    """Return the frame that answers one CALL."""
    call = a_call(charger, action, **payload)
    return json.loads(commits.commit_with_retry(Batch([Entry(HANDLERS[call.version][action], call)], {}))[0])


@pytest.mark.parametrize("policy", ["Accepted", "Pending", "Rejected"])
def test_a_boot_is_answered_by_the_policy_of_the_operator(policy, settings):
    settings.OCPP_BOOT_RETRY_INTERVAL = 17
    charger = a_charger(boot_policy=policy)
    answer = tell(charger, "BootNotification", **BOOT)
    assert (answer["status"], answer["interval"]) == (policy, 300 if policy == "Accepted" else 17)
    charger.refresh_from_db()
    assert (charger.registration_status, charger.effective_status) == (policy, policy)


@pytest.mark.parametrize("policy", ["Pending", "Rejected"])
def test_a_call_before_acceptance_gets_a_security_error(policy):
    charger = a_charger(boot_policy=policy)
    assert outcome(charger, "Heartbeat")[2] == "SecurityError"
    assert outcome(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Available")[0] == 4
    assert charger.connectors.count() == 0
    assert outcome(charger, "BootNotification", **BOOT)[0] == 3


def test_a_charger_is_accepted_only_at_its_next_boot():
    charger = a_charger(boot_policy="Pending")
    tell(charger, "BootNotification", **BOOT)
    type(charger).objects.update(boot_policy="Accepted")
    assert outcome(charger, "Heartbeat")[2] == "SecurityError"
    tell(charger, "BootNotification", **BOOT)
    assert outcome(charger, "Heartbeat")[0] == 3


@pytest.mark.parametrize("policy", ["Pending", "Rejected"])
def test_an_accepted_charger_stays_accepted_until_its_next_boot(policy):
    charger = a_charger()
    tell(charger, "BootNotification", **BOOT)
    type(charger).objects.update(boot_policy=policy)
    for _ in range(2):
        assert outcome(charger, "Heartbeat")[0] == 3
        assert outcome(charger, "DataTransfer", vendorId="x")[0] == 3
    tell(charger, "BootNotification", **BOOT)
    assert outcome(charger, "Heartbeat")[2] == "SecurityError"


def test_no_vendor_function_is_called_for_a_charger_that_is_not_accepted(monkeypatch):
    monkeypatch.setattr(vendors, "_functions", {})
    received = []
    vendors.vendor("com.example")(lambda charger_id, data: (received.append(data), ("Accepted", None))[1])
    charger = a_charger(boot_policy="Pending")
    assert outcome(charger, "DataTransfer", vendorId="com.example", data="1")[2] == "SecurityError"
    type(charger).objects.update(boot_policy="Accepted")
    assert outcome(charger, "DataTransfer", vendorId="com.example", data="2")[0] == 3
    assert received == ["2"]


def test_a_batch_with_a_known_unaccepted_charger_is_processed_only_once(django_assert_num_queries):
    pending, charger = a_charger(boot_policy="Pending"), a_charger()
    outcome(pending, "Heartbeat")
    entries = [Entry(HANDLERS[c.version]["Heartbeat"], a_call(c, "Heartbeat")) for c in (pending, charger)]
    # BEGIN, COMMIT, the statuses of chargers that were not accepted, and the calls that were triggered.
    with django_assert_num_queries(4):
        answers = [json.loads(answer) for answer in commits.commit_with_retry(Batch(entries, {}))]
    assert [kind for kind, *_ in answers] == [4, 3]


def test_a_charger_that_connects_without_a_boot_is_served():
    assert outcome(a_charger(), "Heartbeat")[0] == 3


def test_a_refusal_is_not_remembered():
    charger = a_charger(boot_policy="Pending")
    outcome(charger, "Heartbeat")
    charger.refresh_from_db()
    assert charger.last_answer == ""


@pytest.mark.parametrize(
    ("action", "requested", "sent_action"),
    [
        ("TriggerMessage", "Heartbeat", "Heartbeat"),
        ("ExtendedTriggerMessage", "FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
    ],
)
def test_a_triggered_message_is_allowed_while_pending(action, requested, sent_action):
    charger = a_charger(boot_policy="Pending")
    command = a_command(charger, action, {"requestedMessage": requested}, state="sent")
    Command.objects.update(sent_at=command.created_at)
    payload = {"status": "Idle"} if "Status" in sent_action else {}
    assert outcome(charger, sent_action, **payload)[0] == 3
    assert outcome(charger, "Authorize", idTag="A")[2] == "SecurityError"


# Messages that a TriggerMessage of each version can request, and the action of the message that is sent.
TRIGGERED = [
    (OCPP16, "TriggerMessage", "MeterValues", "MeterValues"),
    (OCPP16, "ExtendedTriggerMessage", "SignChargePointCertificate", "SignCertificate"),
    (OCPP201, "TriggerMessage", "SignChargingStationCertificate", "SignCertificate"),
    (OCPP201, "TriggerMessage", "SignV2GCertificate", "SignCertificate"),
    (OCPP201, "TriggerMessage", "SignCombinedCertificate", "SignCertificate"),
    (OCPP201, "TriggerMessage", "FirmwareStatusNotification", "FirmwareStatusNotification"),
    (OCPP201, "TriggerMessage", "PublishFirmwareStatusNotification", "PublishFirmwareStatusNotification"),
    (OCPP201, "TriggerMessage", "LogStatusNotification", "LogStatusNotification"),
    (OCPP201, "TriggerMessage", "TransactionEvent", "TransactionEvent"),
    (OCPP201, "Reset", None, "Heartbeat"),
]


@pytest.mark.parametrize(("version", "action", "message", "sent"), TRIGGERED, ids=str)
def test_the_message_that_a_command_of_each_version_triggers_is_found(version, action, message, sent):
    charger = a_charger(ocpp_version=version.subprotocol)
    command = a_command(charger, action, {"requestedMessage": message} if message else {}, state="sent")
    Command.objects.update(sent_at=command.created_at)
    asked = {(charger.pk, sent), (charger.pk, "Authorize")}
    assert delivery.triggered(asked) == ({(charger.pk, sent)} if message else set())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("policy", "action", "payload", "status"),
    [
        ("Pending", "RemoteStartTransaction", {"idTag": "A"}, 409),
        ("Pending", "RemoteStopTransaction", {"transactionId": 1}, 409),
        ("Pending", "GetConfiguration", {}, 202),
        ("Rejected", "GetConfiguration", {}, 409),
        ("Accepted", "RemoteStartTransaction", {"idTag": "A"}, 202),
    ],
)
def test_a_command_that_is_not_allowed_is_refused_with_the_reason(api, policy, action, payload, status):
    charger = a_charger(boot_policy=policy)
    body = {"charger_id": charger.identity, "action": action, "payload": payload}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert answer.status_code == status
    assert Command.objects.count() == (status == 202)
    assert status == 202 or policy in answer.json()["error"]


@pytest.mark.parametrize("policy", ["Accepted", "Pending"])
def test_the_configuration_is_read_after_boot_only_where_it_is_switched_on(policy):
    switched_on = a_charger(read_configuration_after_boot=True, boot_policy=policy)
    for charger in (a_charger(), switched_on):
        tell(charger, "BootNotification", **BOOT)
    submitted = [(c.charger, c.action, c.requested_by) for c in Command.objects.all()]
    assert submitted == ([(switched_on, "GetConfiguration", "central system")] if policy == "Accepted" else [])


def test_an_unknown_policy_is_refused(api):
    answer = api.patch(f"/api/ocpp/chargers/{a_charger()}/", {"boot_policy": "Maybe"}, "application/json")
    assert answer.status_code == 400
    assert "boot_policy" in answer.json()["fields"]
