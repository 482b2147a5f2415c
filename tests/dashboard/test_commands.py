"""Commands on the pages: forms, payloads, refusals and results."""

import re
from html import unescape

import pytest

from commands.actions.ocpp16.table import ACTIONS
from commands.models import Batch, Command
from core.ocpp.versions import OCPP16
from dashboard.forms import fields_of, payload_of
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import a_charger, a_command, a_tag, a_transaction
from tests.support.dashboard import a_session_of_2_0_1, new_batch, page_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("action", ACTIONS)
def test_every_command_has_a_form_with_every_field_of_its_schema(api, action):
    page = api.get(charger_url("dashboard:submit", a_charger().identity, action)).content.decode()
    for name in OCPP16.schemas.requests[action].tree.get("properties", {}):
        assert f'name="{name}' in page or f">{name}" in page
    assert fields_of(OCPP16.schemas.requests[action]) == [] or "<fieldset" in page or "<label" in page


# The command of each button of a charger's page, with the values that a user adds to its form.
BUTTONS = {
    "Restart": ({}, "Reset", {"type": "Soft"}),
    "Request status": ({}, "TriggerMessage", {"requestedMessage": "StatusNotification"}),
    "Read configuration": ({}, "GetConfiguration", {}),
    "Unlock connector": ({}, "UnlockConnector", {"connectorId": 1}),
    "Start charging": ({"id_tag": "ABC"}, "RemoteStartTransaction", {"idTag": "ABC", "connectorId": 1}),
    "Set inoperative": ({}, "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
    "Set operative": ({}, "ChangeAvailability", {"connectorId": 0, "type": "Operative"}),
    "Stop transaction…": ({}, "RemoteStopTransaction", None),
    "Stop charging": ({}, "RemoteStopTransaction", None),
}


def links(api, charger):
    """Return {text: path} of the buttons on the page of `charger`."""
    page = api.get(page_of(charger)).content.decode()
    found = re.findall(r'<a class="button" href="([^"]*/submit/[^"]*)">([^<]*)', page)
    return {text: unescape(path) for path, text in found}


def filled(page):
    """Return the values of the fields of a form as the page shows them."""
    return {field.name: field.value for field in page.context["fields"]}


@pytest.mark.parametrize("text", BUTTONS)
def test_every_button_of_a_charger_submits_its_command(api, text):
    session = a_transaction()
    shown = links(api, session.charger)
    assert shown.keys() == BUTTONS.keys()
    values, action, payload = BUTTONS[text]
    api.post(shown[text], filled(api.get(shown[text])) | values | {"confirmed": "1"})
    command = Command.objects.get()
    assert command.action == action
    assert command.payload == ({"transactionId": session.pk} if payload is None else payload)


# The same buttons for a charger of OCPP 2.0.1.
BUTTONS_201 = {
    "Restart": ({}, "Reset", {"type": "OnIdle"}),
    "Request status": (
        {"evse_id": "1"},
        "TriggerMessage",
        {"requestedMessage": "StatusNotification", "evse": {"id": 1, "connectorId": 1}},
    ),
    "Unlock connector": ({}, "UnlockConnector", {"evseId": 1, "connectorId": 1}),
    "Set inoperative": ({}, "ChangeAvailability", {"operationalStatus": "Inoperative"}),
    "Set operative": ({}, "ChangeAvailability", {"operationalStatus": "Operative"}),
    "Stop transaction…": ({}, "RequestStopTransaction", {"transactionId": "a-reference"}),
    "Stop charging": ({}, "RequestStopTransaction", {"transactionId": "a-reference"}),
}


@pytest.mark.parametrize("text", BUTTONS_201)
def test_the_buttons_of_a_charger_submit_the_commands_of_its_version(api, text):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    a_session_of_2_0_1(charger, own_reference="a-reference")
    shown = links(api, charger)
    assert shown.keys() == BUTTONS.keys()
    values, action, payload = BUTTONS_201[text]
    api.post(shown[text], filled(api.get(shown[text])) | values | {"confirmed": "1"})
    command = Command.objects.get()
    assert (command.action, command.payload) == (action, payload)


def test_a_start_of_ocpp_2_0_1_is_completed(api):
    a_tag("ABC", type="ISO14443")
    charger = a_charger(ocpp_version="ocpp2.0.1")
    api.post(charger_url("dashboard:submit", charger.identity, "start"), {"id_tag": "ABC", "evse_id": "1"})
    payload = Command.objects.get().payload
    assert payload.keys() == {"idToken", "evseId", "remoteStartId"}
    assert payload["idToken"] == {"idToken": "ABC", "type": "ISO14443"}


def test_a_command_that_a_version_lacks_has_no_form(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    assert api.get(charger_url("dashboard:submit", charger.identity, "GetConfiguration")).status_code == 404


def test_a_form_becomes_a_payload_with_lists_and_numbers():
    schedule = "csChargingProfiles.chargingSchedule"
    fields = {"connectorId": "1", "csChargingProfiles.stackLevel": "0", "csChargingProfiles.validFrom": ""}
    fields |= {f"{schedule}.chargingSchedulePeriod.{n}.startPeriod": str(n * 60) for n in (0, 2)}
    fields |= {f"{schedule}.chargingSchedulePeriod.2.limit": "11.5"}
    periods = [{"startPeriod": 0}, {"startPeriod": 120, "limit": 11.5}]
    profile = {"stackLevel": 0, "chargingSchedule": {"chargingSchedulePeriod": periods}}
    assert payload_of(OCPP16.schemas.requests["SetChargingProfile"], fields) == {
        "connectorId": 1,
        "csChargingProfiles": profile,
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [("11", 11), (" 11.5 ", 11.5), ("1e3", 1000.0), ("1_000", "1_000"), ("nan", "nan"), ("٣", "٣")],
)
def test_only_json_numbers_are_accepted_as_numbers(written, read):
    assert payload_of(OCPP16.schemas.requests["UnlockConnector"], {"connectorId": written}) == {"connectorId": read}


def test_texts_keep_their_line_ends(api):
    path = charger_url("dashboard:submit", a_charger().identity, "InstallCertificate")
    api.post(path, {"certificateType": "ManufacturerRootCertificate", "certificate": "one\r\ntwo"})
    assert Command.objects.get().payload["certificate"] == "one\ntwo"


def test_an_empty_authorization_key_is_generated(api):
    charger = a_charger()
    path = charger_url("dashboard:submit", charger.identity, "ChangeConfiguration")
    api.post(path, {"key": "AuthorizationKey", "value": ""})
    assert len(Command.objects.get().payload.opened()["value"]) == 40
    new_batch(api, "ChangeConfiguration", key="AuthorizationKey", value="")
    assert Batch.objects.get().payload == {"key": "AuthorizationKey", "value": ""}


def test_an_empty_value_is_sent_and_other_empty_fields_are_not():
    assert payload_of(OCPP16.schemas.requests["ChangeConfiguration"], {"key": "K", "value": ""}) == {
        "key": "K",
        "value": "",
    }
    assert payload_of(OCPP16.schemas.requests["Reset"], {"type": ""}) == {}


@pytest.mark.parametrize(
    ("action", "fields", "named"),
    [
        ("Reset", {}, "type"),
        ("UnlockConnector", {"connectorId": "one"}, "one"),
        ("reset", {"is_immediate": "perhaps"}, "is not of type"),
        ("unlock", {"evse_id": ""}, "is a required property"),
        ("stop", {"reference": "a-uuid"}, "The id of a transaction of OCPP 1.6 is a number."),
        ("Reset", {"written": "{"}, "not valid JSON"),
        ("Reset", {"written": "[]"}, "JSON object"),
        ("Reset", {"written": '{"type": NaN}'}, "NaN"),
    ],
)
def test_an_invalid_form_is_shown_again_with_its_errors(api, action, fields, named):
    charger = a_charger()
    answer = api.post(charger_url("dashboard:submit", charger.identity, action), fields)
    assert answer.status_code == 400
    assert named in answer.content.decode()
    assert not Command.objects.exists()


def test_a_charger_that_is_not_accepted_gets_no_command(api):
    charger = a_charger(boot_policy="Rejected")
    answer = api.post(charger_url("dashboard:submit", charger.identity, "ClearCache"))
    assert answer.status_code == 409
    assert "wrong" in answer.content.decode()


def test_too_many_commands_in_a_minute_are_refused(api, settings):
    settings.API_COMMANDS_PER_MINUTE = 1
    path = charger_url("dashboard:submit", a_charger().identity, "ClearCache")
    assert [api.post(path).status_code for _ in range(2)] == [302, 429]


def test_a_form_submits_its_command(api):
    charger = a_charger("CP ü 505")
    answer = api.post(charger_url("dashboard:submit", charger.identity, "Reset"), {"type": "Hard", "confirmed": "1"})
    command = Command.objects.get()
    assert answer.headers["Location"] == f"/commands/{command.task_id}/"
    assert command.payload == {"type": "Hard"}
    assert (command.charger, command.requested_by) == (charger, "alice")


def test_a_simulated_result_is_marked(api):
    simulation = {"simulated": True, "simulated_response": {"status": "Accepted"}}
    command = a_command(state="finished", outcome="timed_out", **simulation)
    page = api.get(f"/commands/{command.task_id}/").content.decode()
    assert "is-simulated" in page
    assert "generated by this system" in page
    assert "Response from charger" not in page
    assert "simulated" in api.get(page_of(command.charger)).content.decode()
    assert "simulated" in api.get("/commands/").content.decode()


def test_a_finished_command_is_retried_as_a_new_one(api):
    finished = a_command(action="Reset", payload={"type": "Hard"}, state="finished", outcome="timed_out")
    api.post(f"/commands/{finished.task_id}/again/")
    retried = Command.objects.exclude(pk=finished.pk).get()
    assert (retried.action, retried.payload, retried.charger) == ("Reset", {"type": "Hard"}, finished.charger)


def test_an_unfinished_command_is_not_retried(api):
    command = a_command()
    assert api.post(f"/commands/{command.task_id}/again/").status_code == 302
    assert Command.objects.count() == 1
