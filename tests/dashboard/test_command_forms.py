"""The forms of commands are made of the schemas of every OCPP version, and suggest what is known of the charger."""

import re
from datetime import UTC, datetime

import pytest

from chargers.models import Connector, Variable
from commands.actions.table import ACTIONS
from commands.models import ChargingProfile, Command
from core.ocpp.versions import BY_SUBPROTOCOL, OCPP16, OCPP201
from dashboard.forms import fields_of, leaves, payload_of
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import a_charger, a_tag, a_transaction
from tests.support.dashboard import a_user
from tests.support.payloads import PROFILE
from tests.support.requests import a_payload, form_values

pytestmark = pytest.mark.django_db
REQUESTS = [(version, name) for version in BY_SUBPROTOCOL.values() for name in sorted(version.schemas.actions)]


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "minimal"])
@pytest.mark.parametrize(("version", "action"), REQUESTS, ids=str)
def test_the_values_of_a_form_become_the_payload_that_they_stand_for(version, action, is_whole):
    schema = version.schemas.requests[action]
    payload = a_payload(schema.resolved, is_whole)
    schema.check(payload, formats=True)
    assert payload_of(schema, form_values(payload)) == payload


@pytest.mark.parametrize(("version", "action"), REQUESTS, ids=str)
def test_a_form_has_a_field_for_each_member_and_shows_its_value(version, action):
    schema = version.schemas.requests[action]
    values = form_values(a_payload(schema.resolved, is_whole=True))
    shown = {leaf.name: leaf.value for leaf in leaves(fields_of(schema, values)) if "__n__" not in leaf.name}
    assert shown == values
    assert "customData" not in str(shown.keys())


# Members by which a command can be sent that its schema alone does not require, or with a value that has a meaning.
SCHEDULE = {"id": 1, "chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.5}]}
PROFILE_201 = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [SCHEDULE],
}
MEANINGFUL = {
    "ClearChargingProfile": {"chargingProfileId": 1},
    "CustomerInformation": {"customerIdentifier": "x"},
    "GetChargingProfiles": {"chargingProfile": {"chargingProfileId": [1]}},
    "SetChargingProfile": {"chargingProfile": PROFILE_201},
}


@pytest.mark.parametrize("action", ACTIONS[OCPP201])
def test_every_command_of_ocpp_2_0_1_is_sent_by_its_form(api, action, settings):
    settings.PUBLIC_URL = "https://example.org"
    charger = a_charger(ocpp_version="ocpp2.0.1")
    path = charger_url("dashboard:submit", charger.identity, action)
    page = api.get(path).content.decode()
    tree = OCPP201.schemas.requests[action].resolved
    for name in tree.get("properties", {}):
        assert (f'name="{name}' in page or f">{name}" in page) == (name != "customData")
    payload = a_payload(tree) | MEANINGFUL.get(action, {})
    answer = api.post(path, form_values(payload) | {"confirmed": "1"})
    assert answer.status_code == 302, answer.context["error"] or answer.content.decode()
    command = Command.objects.get()
    assert command.action == action
    assert payload.items() <= command.payload.opened().items()
    assert api.get(answer.headers["Location"]).status_code == 200


def test_the_blank_item_of_a_list_within_a_list_has_both_numbers(api):
    path = charger_url("dashboard:submit", a_charger(ocpp_version="ocpp2.0.1").identity, "RequestStartTransaction")
    page = api.get(path).content.decode()
    assert 'name="chargingProfile.chargingSchedule.0.chargingSchedulePeriod.0.limit"' in page
    assert 'name="chargingProfile.chargingSchedule.__n__.chargingSchedulePeriod.__n__.limit"' in page


def test_a_value_may_be_cleared_and_other_empty_members_are_left_out():
    schema = OCPP201.schemas.requests["SetVariables"]
    named = {"component.name": "AuthCtrlr", "variable.name": "Enabled", "attributeValue": "", "attributeType": ""}
    values = {f"setVariableData.0.{name}": text for name, text in named.items()}
    values |= {f"setVariableData.1.{name}": "" for name in named}
    expected = {"component": {"name": "AuthCtrlr"}, "variable": {"name": "Enabled"}, "attributeValue": ""}
    assert payload_of(schema, values) == {"setVariableData": [expected]}


# --- suggestions ---------------------------------------------------------------------------


def pickers(api, charger, action):
    """Return {picker: {value: description}}, and {name of a field: picker}, of the form of `action`."""
    context = api.get(charger_url("dashboard:submit", charger.identity, action)).context
    of_fields = {leaf.name: leaf.picker for leaf in leaves(context["fields"]) if leaf.picker}
    return {name: dict(options) for name, options in context["pickers"].items()}, of_fields


def with_connectors(charger, *places):
    now = datetime.now(UTC)
    for evse, number in places:
        charger.connectors.create(
            evse_id=evse, connector_id=number, status="Available", timestamp=now, received_at=now
        )
    return charger


def test_evses_and_connectors_of_the_charger_are_suggested(api):
    charger = with_connectors(a_charger(ocpp_version="ocpp2.0.1"), (1, 1), (1, 2), (2, 1))
    options, fields = pickers(api, charger, "UnlockConnector")
    assert fields == {"evseId": "evses", "connectorId": "connectors"}
    assert options["evses"] == {1: "EVSE 1", 2: "EVSE 2"}
    assert options["connectors"] == {1: "EVSE 1 connector 1, EVSE 2 connector 1", 2: "EVSE 1 connector 2"}


def test_connectors_of_ocpp_1_6_are_suggested_by_their_number(api):
    charger = with_connectors(a_charger(), (0, 0), (1, 1), (2, 2))
    assert pickers(api, charger, "UnlockConnector")[0] == {"connectors": {1: "Connector 1", 2: "Connector 2"}}
    assert pickers(api, charger, "unlock")[0]["evses"] == {1: "Connector 1", 2: "Connector 2"}


@pytest.mark.parametrize("action", ["stop", "RemoteStopTransaction"])
def test_transactions_under_way_are_suggested_by_their_reference(api, action):
    session = a_transaction()
    a_transaction()
    options, _ = pickers(api, session.charger, action)
    assert options == {"transactions": {session.reference: "ABC, Connector 1"}}


def test_variables_are_suggested_with_type_and_limits(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    facts = {"data_type": "integer", "unit": "s", "min_limit": 1, "max_limit": 600}
    charger.variables.create(component="OCPPCommCtrlr", variable="HeartbeatInterval", characteristics=facts)
    limits = "OCPPCommCtrlr ReadWrite integer 1–600 s"
    options, fields = pickers(api, a_charger(), "ChangeConfiguration")
    assert (options, fields) == ({"variables": {}}, {"key": "variables"})
    assert Variable.objects.count() == 1 and Connector.objects.count() == 0
    from dashboard.pickers import PICKERS

    (of_variables,) = [picker for picker in PICKERS if picker.name == "variables"]
    assert of_variables.options(charger) == [("HeartbeatInterval", limits)]


def test_profiles_of_the_library_are_suggested(api):
    profile = ChargingProfile.objects.create(description="night", profile=PROFILE)
    options, fields = pickers(api, a_charger(), "SetChargingProfile")
    assert options["profiles"] == {profile.pk: "night"}
    assert fields["csChargingProfiles.chargingProfileId"] == "profiles"


def test_id_tags_are_searched_and_bring_their_type(api):
    a_tag("DRIVER-1", type="ISO14443", description="Anna")
    a_tag("DRIVER-2")
    a_tag("other")
    found = api.get("/tokens.json?search=driver").json()["tokens"]
    assert found == [
        {"id_tag": "DRIVER-1", "type": "ISO14443", "description": "Anna"},
        {"id_tag": "DRIVER-2", "type": "", "description": ""},
    ]
    assert [tag["id_tag"] for tag in api.get("/tokens.json?search=anna").json()["tokens"]] == ["DRIVER-1"]
    assert api.get("/tokens.json?search=").json() == {"tokens": []}
    charger = a_charger(ocpp_version="ocpp2.0.1")
    page = api.get(charger_url("dashboard:submit", charger.identity, "RequestStartTransaction")).content.decode()
    assert re.search(r'name="idToken\.idToken"[^>]* list="of-tokens" data-fills="type"', page)
    assert '<datalist id="of-tokens" data-search="/tokens.json">' in page
    page = api.get(charger_url("dashboard:submit", charger.identity, "start")).content.decode()
    assert re.search(r'name="id_tag"[^>]* data-fills="id_token_type"', page)


def test_id_tags_are_searched_only_with_the_permission(client):
    charger = a_charger()
    a_user(client, "view_charger", "add_command", group_of=[charger])
    assert client.get("/tokens.json?search=a").status_code == 403
    page = client.get(charger_url("dashboard:submit", charger.identity, "start")).content.decode()
    assert "data-search" not in page


def test_a_batch_suggests_what_does_not_depend_on_a_charger(api):
    with_connectors(a_charger(), (1, 1))
    assert api.get("/batches/new/unlock/").context["pickers"] == {"evses": [], "connectors": []}


@pytest.mark.parametrize(
    ("version", "action", "name"),
    [
        (OCPP201, "RequestStartTransaction", "remoteStartId"),
        (OCPP16, "SetChargingProfile", "csChargingProfiles.chargingProfileId"),
    ],
    ids=str,
)
def test_members_that_are_completed_are_not_marked_as_required(version, action, name):
    (found,) = [leaf for leaf in leaves(fields_of(version.schemas.requests[action])) if leaf.name == name]
    assert (found.is_required, str(found.hint)) == (False, "filled in if empty")
