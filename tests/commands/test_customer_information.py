"""CustomerInformation of OCPP 2.0.1: its checks, and the personal data that a charger delivers."""

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection

from commands.actions.ocpp201 import customers
from commands.models import Command, CustomerInformationPart, LocalList
from commands.services import retention
from core.db import sealing
from core.ocpp import tolerance
from core.ocpp.versions import OCPP201
from tests.support.builders import NOON, a_call, a_charger, a_command, settle, tell

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = {"idToken": "CAFE01", "type": "ISO14443"}
HASHES = {"hashAlgorithm": "SHA256", "issuerNameHash": "a", "issuerKeyHash": "b", "serialNumber": "1"}
PERSONAL = "Jane Doe, 1 Main Street"


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def submit(api, charger, **payload):
    body = {"charger_id": str(charger), "action": "CustomerInformation", "payload": payload}
    return api.post("/api/ocpp/commands/", body, "application/json")


def asked(charger, request_id=5, report=True, clear=False):
    payload = {"requestId": request_id, "report": report, "clear": clear, "idToken": TOKEN}
    columns = {"state": "sent", "sent_at": NOON, "request_id": request_id}
    return a_command(charger, "CustomerInformation", payload, **columns)


def delivered(charger, data, seq_no=0, tbc=False, request_id=5):
    head = {"requestId": request_id, "seqNo": seq_no, "tbc": tbc, "generatedAt": NOON}
    return tell(charger, "NotifyCustomerInformation", **head, data=data)


def shown(client, command):
    return client.get(f"/api/ocpp/tasks/{command.task_id}/").json()


# --- checks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "named",
    [{"idToken": TOKEN}, {"customerIdentifier": "jane"}, {"customerCertificate": HASHES}],
    ids=lambda named: next(iter(named)),
)
def test_a_request_names_the_customer_and_gets_an_id(api, charger, named):
    assert submit(api, charger, report=True, clear=False, **named).status_code == 202
    command = Command.objects.get()
    assert command.payload.opened() == {"report": True, "clear": False, **named, "requestId": command.request_id}


@pytest.mark.parametrize(
    "named",
    [{}, {"customerIdentifier": ""}, {"idToken": TOKEN, "customerIdentifier": "jane"}],
    ids=["none", "empty", "two"],
)
def test_a_request_without_exactly_one_customer_is_refused(api, charger, named):
    refused = submit(api, charger, report=True, clear=False, **named)
    assert refused.status_code == 400
    assert "exactly one of customerIdentifier, idToken, customerCertificate" in refused.json()["error"]
    assert not Command.objects.exists()


def test_a_request_for_nothing_is_sent_with_a_warning(api, charger):
    assert (
        "Neither report nor clear" in submit(api, charger, report=False, clear=False, idToken=TOKEN).json()["warning"]
    )


# --- the local list --------------------------------------------------------------------------


def follow_up(charger, status="Accepted", clear=True, **customer):
    columns = {"state": "finished", "outcome": "answered", "response": {"status": status}}
    payload = {"requestId": 5, "report": False, "clear": clear, **customer}
    return customers.cleared(a_command(charger, "CustomerInformation", payload, **columns))


def test_a_cleared_token_is_removed_from_the_local_list(charger):
    entries = [
        {"idToken": TOKEN | {"type": kind}, "idTokenInfo": {"status": "Accepted"}} for kind in ("ISO14443", "Local")
    ]
    LocalList.objects.create(charger=charger, version=3, entries=entries)
    removal = "SendLocalList", {"updateType": "Differential", "localAuthorizationList": [{"idToken": TOKEN}]}
    assert follow_up(charger, idToken=TOKEN | {"idToken": "cafe01"}) == removal
    both = follow_up(charger, customerIdentifier="CAFE01")
    assert [entry["idToken"]["type"] for entry in both.payload["localAuthorizationList"]] == ["ISO14443", "Local"]


def test_a_list_without_the_customer_is_left_as_it_is(charger):
    assert follow_up(charger, idToken=TOKEN) is None
    LocalList.objects.create(charger=charger, version=3, entries=[{"idToken": TOKEN, "idTokenInfo": {}}])
    assert follow_up(charger, idToken=TOKEN | {"type": "Local"}) is None
    assert follow_up(charger, customerCertificate=HASHES) is None
    assert follow_up(charger, status="Rejected", idToken=TOKEN) is None
    assert follow_up(charger, clear=False, idToken=TOKEN) is None


# --- delivery --------------------------------------------------------------------------------


def test_the_delivered_text_is_the_report_of_the_task(api, charger):
    command = asked(charger)
    delivered(charger, "Main Street", seq_no=1)
    assert shown(api, command)["completed_at"] is None
    for _ in range(2):
        assert delivered(charger, "Jane Doe, 1 ", tbc=True) == {}
    task = shown(api, command)
    assert task["report"] == PERSONAL
    assert task["completed_at"]
    assert [step["status"] for step in task["progress"]] == ["Part", "Complete"]


def test_what_is_stored_about_a_customer_is_encrypted_and_in_no_list(api, charger):
    command = asked(charger)
    delivered(charger, PERSONAL)
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', ["%Jane Doe%"])
            assert cursor.fetchone() == (0,), table
    assert PERSONAL not in api.get(f"/api/ocpp/commands/?charger_id={charger}").content.decode()
    assert shown(api, command)["report"] == PERSONAL


def test_only_users_who_may_view_the_command_can_read_it(client, charger):
    command = asked(charger)
    delivered(charger, PERSONAL)
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename__in=["add_command", "reach_every_charger"]))
    client.force_login(user)
    assert client.get(f"/api/ocpp/tasks/{command.task_id}/").status_code == 403


def test_it_is_hidden_if_no_key_decrypts_it(api, charger, settings):
    command = asked(charger)
    delivered(charger, PERSONAL)
    settings.SECRETS_KEYS = ["A" * 43 + "="]
    assert shown(api, command)["report"] == "(hidden)"


def test_it_is_encrypted_again_with_a_new_key(charger, settings):
    command = asked(charger)
    delivered(charger, PERSONAL)
    new = "A" * 43 + "="
    settings.SECRETS_KEYS = [new, *settings.SECRETS_KEYS]
    assert sealing.reseal([CustomerInformationPart]) == 1
    settings.SECRETS_KEYS = [new]
    assert command.customer_information.get().data.opened() == PERSONAL


def test_it_is_deleted_with_its_command(charger, settings):
    command = asked(charger)
    delivered(charger, PERSONAL)
    assert retention.RULES["commands.CustomerInformationPart"] == retention.With("commands.Command")
    command.delete()
    assert not CustomerInformationPart.objects.exists()


def test_personal_data_that_nobody_requested_is_a_finding_and_not_stored(charger):
    asked(charger)
    call = a_call(
        charger,
        "NotifyCustomerInformation",
        requestId=6,
        seqNo=0,
        generatedAt=NOON,
        data=PERSONAL,
    )
    assert settle(call) == [{}]
    assert call.findings == {("requestId", "unknown_value"): 6}
    assert not CustomerInformationPart.objects.exists()


def test_parts_without_numbers_are_joined_in_the_order_of_their_arrival(api, charger):
    command = asked(charger)
    for data, tbc in (("Jane ", True), ("Doe" * 200, False)):
        payload = {"requestId": 5, "data": data, "tbc": tbc}
        reading = tolerance.read_request(OCPP201, "NotifyCustomerInformation", payload)
        tell(charger, "NotifyCustomerInformation", **reading.payload)
    assert shown(api, command)["report"] == "Jane " + "Doe" * 200
