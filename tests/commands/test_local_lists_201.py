"""Local authorization lists of OCPP 2.0.1, built from the id tokens (D01, D02)."""

from datetime import UTC, datetime

import pytest

from chargers.models import Variable
from commands.actions.ocpp201.table import ACTIONS
from commands.models import Command, LocalList
from commands.services.lifecycle import _finish
from core.ocpp.versions import OCPP201
from tests.support.builders import a_charger, a_tag
from transactions.models import IdTag

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def post(api, charger, **body):
    answer = api.post(f"/api/ocpp/local-lists/{charger}/", body, "application/json")
    assert answer.status_code == 202, answer.json()
    return list(Command.objects.filter(charger=charger).order_by("pk"))


def accepted(command):
    """Check and answer a list."""
    OCPP201.schemas.check_request("SendLocalList", command.payload, formats=True)
    command.response = {"status": "Accepted"}
    return ACTIONS["SendLocalList"].answered(command)


def tokens(payload):
    return [(e["idToken"]["idToken"], e["idToken"]["type"]) for e in payload.get("localAuthorizationList", [])]


def test_a_list_has_every_token_with_its_type_and_its_data(api, charger):
    a_tag("A", type="eMAID", parent_id_tag="G", language="de", message="Hallo")
    a_tag("B", status="NoCredit")
    a_tag("C").chargers.add(a_charger())  # valid elsewhere only
    (command,) = post(api, charger)
    accepted(command)
    group = {"idToken": "G", "type": "Central"}
    message = {"format": "UTF8", "language": "de", "content": "Hallo"}
    info = {"status": "Accepted", "language1": "de", "groupIdToken": group, "personalMessage": message}
    expected = [
        {"idToken": {"idToken": "A", "type": "eMAID"}, "idTokenInfo": info},
        {"idToken": {"idToken": "B", "type": "ISO14443"}, "idTokenInfo": {"status": "NoCredit"}},
    ]
    assert command.payload["localAuthorizationList"] == LocalList.objects.get().entries == expected


def test_a_differential_list_names_tokens_by_text_and_type(api, charger):
    for type_ in ("", "eMAID", "Central"):
        a_tag("A", type=type_)
    accepted(post(api, charger)[-1])
    IdTag.objects.filter(type="eMAID").delete()
    IdTag.objects.filter(type="Central").update(status="Blocked")
    command = post(api, charger, update_type="Differential")[-1]
    accepted(command)
    assert tokens(command.payload) == [("A", "Central"), ("A", "eMAID")]
    held = {e["idToken"]["type"]: e["idTokenInfo"]["status"] for e in LocalList.objects.get().entries}
    assert held == {"ISO14443": "Accepted", "Central": "Blocked"}
    assert tokens(post(api, charger, update_type="Differential")[-1].payload) == []


def limited(charger, variable, value):
    Variable.objects.create(charger=charger, component="LocalAuthListCtrlr", variable=variable, value=str(value))


@pytest.mark.parametrize(("variable", "value"), [("ItemsPerMessage", 2), ("BytesPerMessage", 330)])
def test_a_long_list_is_sent_in_parts(api, charger, variable, value):
    for name in "ABCDE":
        a_tag(name)
    limited(charger, variable, value)
    commands = post(api, charger)
    assert [(c.payload["updateType"], len(tokens(c.payload))) for c in commands] == [
        ("Full", 2),
        ("Differential", 2),
        ("Differential", 1),
    ]
    assert [c.payload["versionNumber"] for c in commands] == [1, 2, 3]
    for command in commands:
        accepted(command)
    assert len(LocalList.objects.get().entries) == 5


def test_the_parts_of_a_list_are_portions_of_its_task(api, charger):
    for name in "ABCDE":
        a_tag(name)
    limited(charger, "ItemsPerMessage", 2)
    first, *others = post(api, charger, timeout=7, full_if_failed=False)
    assert "3 portions" in first.warning
    assert {(one.follows_id, one.timeout, one.retry_full, one.requested_by) for one in others} == {
        (first.pk, 7, False, "alice")
    }


def test_a_repeated_request_gets_the_same_task_and_makes_no_other_part(api, charger):
    for name in "ABC":
        a_tag(name)
    limited(charger, "ItemsPerMessage", 2)
    path, headers = f"/api/ocpp/local-lists/{charger}/", {"Idempotency-Key": "K"}
    answers = [api.post(path, {}, "application/json", headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["status"] == "Local list with 3 id tags sent"
    assert Command.objects.filter(charger=charger).count() == 2


def entry(text, kind="Central"):
    return {"idToken": {"idToken": text, "type": kind}, "idTokenInfo": {"status": "Accepted"}}


def submitted(api, charger, *entries):
    payload = {"versionNumber": 1, "updateType": "Full", "localAuthorizationList": list(entries)}
    body = {"charger_id": charger.identity, "action": "SendLocalList", "payload": payload}
    return api.post("/api/ocpp/commands/", body, "application/json")


def test_tokens_that_differ_only_in_case_are_refused(api, charger):
    refused = submitted(api, charger, entry("abc"), entry("ABD"), entry("ABC"))
    assert refused.status_code == 400
    assert "abc and ABC are one id token" in refused.json()["error"]
    assert not Command.objects.exists()
    assert submitted(api, charger, entry("abc"), entry("ABC", "eMAID")).status_code == 202
    hidden = submitted(api, charger, entry("a1", "KeyCode"), entry("A1", "KeyCode"))
    assert "(hidden) and (hidden) are one id token" in hidden.json()["error"]


def test_the_pins_of_an_accepted_list_are_known_and_not_shown(api, charger):
    for pin in ("4711", "4712"):
        a_tag(pin, type="KeyCode")
    (command,) = post(api, charger)
    Command.objects.filter(pk=command.pk).update(state="sent", sent_at=datetime.now(UTC))
    _finish(Command.objects.get(pk=command.pk), "answered", response={"status": "Accepted"})
    assert len(LocalList.objects.get().entries) == 2
    shown = api.get(f"/api/ocpp/local-lists/{charger}/")
    assert b"471" not in shown.content and shown.content.count(b"(hidden)") == 2
    IdTag.objects.filter(id_tag="4712").delete()
    *_, change = post(api, charger, update_type="Differential")
    assert change.payload.opened()["localAuthorizationList"] == [{"idToken": {"idToken": "4712", "type": "KeyCode"}}]


def ended(command, outcome="answered", **columns):
    """End a part as its task does, and return the parts that are still queued."""
    Command.objects.filter(pk=command.pk).update(state="sent", sent_at=datetime.now(UTC))
    _finish(Command.objects.get(pk=command.pk), outcome, **columns)
    return list(Command.objects.filter(charger=command.charger, state="queued").order_by("pk"))


def test_the_next_part_waits_until_the_former_one_was_accepted(api, charger):
    for name in "ABCDE":
        a_tag(name)
    limited(charger, "ItemsPerMessage", 2)
    first, second, third = post(api, charger)
    assert ended(first, response={"status": "Accepted"}) == [second, third]
    assert ended(second, response={"status": "Accepted"}) == [third]


@pytest.mark.parametrize(
    ("outcome", "columns"),
    [
        ("answered", {"response": {"status": "Failed"}}),
        ("timed_out", {}),
        ("call_error", {"error": {"code": "InternalError", "description": "", "details": {}}}),
    ],
)
def test_the_other_parts_are_cancelled_unless_a_part_was_accepted(api, charger, outcome, columns):
    for name in "ABCDEF":
        a_tag(name)
    limited(charger, "ItemsPerMessage", 2)
    first, second, third = post(api, charger, full_if_failed=False)
    another = post(api, charger, full_if_failed=False, id_tags=["A"])[-1]
    ended(first, response={"status": "Accepted"})
    assert ended(second, outcome, **columns) == [another]
    third.refresh_from_db()
    assert (third.state, third.outcome, third.error["code"]) == ("finished", "cancelled", "FormerPortion")
    assert second.task_id in third.error["description"]


@pytest.mark.parametrize("status", ["Failed", "VersionMismatch"])
def test_a_full_list_with_all_its_parts_follows_a_failed_differential_one(api, charger, status):
    for name in "ABC":
        a_tag(name)
    limited(charger, "ItemsPerMessage", 2)
    changes = {"update_type": "Differential", "id_tags": ["A", "B", "C"]}
    first, second = post(api, charger, **changes)
    full, rest = ended(first, response={"status": status})
    assert Command.objects.get(pk=second.pk).outcome == "cancelled"
    assert (full.follows_id, rest.follows_id) == (first.pk, full.pk)
    assert [(c.payload["updateType"], len(tokens(c.payload))) for c in (full, rest)] == [
        ("Full", 2),
        ("Differential", 1),
    ]
    assert full.payload["versionNumber"] < rest.payload["versionNumber"]
    assert ended(full, response={"status": "Accepted"}) == [rest]
    assert ended(rest, response={"status": "Accepted"}) == []
    assert len(LocalList.objects.get().entries) == 3


def test_the_list_of_another_version_is_not_known(api, charger):
    LocalList.objects.create(
        charger=charger, version=0, entries=[{"idTag": "A", "idTagInfo": {"status": "Accepted"}}]
    )
    answer = api.post(f"/api/ocpp/local-lists/{charger}/", {"update_type": "Differential"}, "application/json")
    assert answer.status_code == 409


@pytest.mark.parametrize("number", [0, -1])
def test_a_version_that_is_not_above_0_is_refused(api, charger, number):
    payload = {"updateType": "Full", "versionNumber": number}
    body = {"charger_id": charger.identity, "action": "SendLocalList", "payload": payload}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["versionNumber"])


def test_missing_data_of_a_full_list_is_filled_in(api, charger):
    a_tag("A", status="Blocked")
    entries = [{"idToken": {"idToken": name, "type": "Local"}} for name in ("A", "X")]
    payload = {"updateType": "Full", "localAuthorizationList": entries}
    body = {"charger_id": charger.identity, "action": "SendLocalList", "payload": payload}
    task = api.post("/api/ocpp/commands/", body, "application/json").json()
    sent = [entry["idTokenInfo"]["status"] for entry in task["payload"]["localAuthorizationList"]]
    assert (sent, "X" in task["warning"]) == (["Blocked", "Invalid"], True)
