"""Local authorisation lists, built from the id tags (OCPP 1.6 §5.15)."""

import pytest

from chargers.models import Charger
from commands.actions import local_lists
from commands.actions.ocpp16.local_list import FORM
from commands.actions.ocpp16.table import ACTIONS
from commands.models import Command, LocalList
from core.ocpp.versions import OCPP16
from tests.support.builders import a_charger, a_command, a_tag
from transactions.models import IdTag

pytestmark = pytest.mark.django_db(transaction=True)
ACCEPTED = {"status": "Accepted"}


def post(api, charger, **body):
    return api.post(f"/api/ocpp/local-lists/{charger}/", body, "application/json")


def sent(api, charger, **body):
    """Return {id tag: IdTagInfo or None} of the submitted list, as if the charger had accepted it."""
    assert post(api, charger, **body).status_code == 202
    command = Command.objects.first()
    OCPP16.schemas.check_request("SendLocalList", command.payload, formats=True)
    command.response = ACCEPTED
    ACTIONS["SendLocalList"].answered(command)
    return {e["idTag"]: e.get("idTagInfo") for e in command.payload["localAuthorizationList"]}


def test_a_full_list_has_every_tag_with_its_data(api):
    charger = a_charger()
    a_tag("A", parent_id_tag="G")
    a_tag("B", status="Blocked")
    assert sent(api, charger) == {"A": {"status": "Accepted", "parentIdTag": "G"}, "B": {"status": "Blocked"}}


def test_a_differential_list_has_the_changed_tags(api):
    charger = a_charger()
    for name in ("SAME", "CHANGED", "GONE"):
        a_tag(name)
    sent(api, charger)
    IdTag.objects.filter(id_tag="CHANGED").update(status="Blocked")
    IdTag.objects.filter(id_tag="GONE").delete()
    a_tag("NEW")
    expected = {"CHANGED": {"status": "Blocked"}, "NEW": ACCEPTED, "GONE": None}
    assert sent(api, charger, update_type="Differential") == expected
    held = LocalList.objects.get()
    assert (held.version, sorted(e["idTag"] for e in held.entries)) == (2, ["CHANGED", "NEW", "SAME"])
    assert sent(api, charger, update_type="Differential") == {}


def test_a_differential_list_to_an_unknown_version_is_refused(api):
    answer = post(api, a_charger(), update_type="Differential")
    assert answer.status_code == 409
    assert "Full" in answer.json()["error"]


def test_a_list_changed_elsewhere_counts_as_unknown(api):
    charger = a_charger()
    sent(api, charger)
    ACTIONS["GetLocalListVersion"].answered(a_command(charger, "GetLocalListVersion", response={"listVersion": 9}))
    assert api.get(f"/api/ocpp/local-lists/{charger}/").json() == {
        "charger_id": charger.identity,
        "version": 9,
        "entries": None,
        "accepted_at": None,
    }
    assert local_lists.next_version(FORM, Charger.objects.get()) == 10


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"updateType": "Full", "listVersion": 0}, "listVersion"),
        ({"updateType": "Full", "listVersion": -1}, "listVersion"),
        ({"updateType": "Full", "localAuthorizationList": [{"id": "A"}]}, "localAuthorizationList"),
        ({"updateType": "Some"}, "updateType"),
    ],
)
def test_an_invalid_list_is_refused(api, payload, field):
    body = {"charger_id": a_charger().identity, "action": "SendLocalList", "payload": payload}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert answer.status_code == 400
    assert any(name.startswith(field) for name in answer.json()["fields"])


@pytest.mark.parametrize(
    "entries",
    [
        "A",
        ["A"],
        [None],
        [{"idTag": 5}],
        [{"idTag": "A", "idTagInfo": {}}],
        [{"idTag": "x" * 21}],
        [{"idTag": "A\0"}],
    ],
)
def test_a_full_list_that_breaks_its_schema_is_refused_with_the_path(api, entries):
    payload = {"updateType": "Full", "localAuthorizationList": entries}
    body = {"charger_id": a_charger().identity, "action": "SendLocalList", "payload": payload}
    answer = api.post("/api/ocpp/commands/", body, "application/json")
    assert answer.status_code == 400, answer.json()
    assert all(field.startswith("localAuthorizationList") for field in answer.json()["fields"]), answer.json()
