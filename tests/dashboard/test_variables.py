"""The device model of a charger on the pages."""

import pytest

from chargers.models import Variable
from chargers.services import variables
from chargers.services.variables import VariableName
from commands.models import Command
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import a_charger
from tests.support.dashboard import a_user, page_of

pytestmark = pytest.mark.django_db
CHOICE = {"data_type": "OptionList", "values_list": ["100", "300"]}
LIMITS = {"data_type": "integer", "unit": "s", "min_limit": 1, "max_limit": 600}


def a_variable(charger=None, **columns):
    charger = charger or a_charger(ocpp_version="ocpp2.0.1")
    usual = {"component": "OCPPCommCtrlr", "variable": "HeartbeatInterval", "value": "300"}
    return Variable.objects.create(charger=charger, **usual | columns)


def path_of(variable):
    return charger_url("dashboard:variable", variable.charger.identity, variable.pk)


def list_of(charger):
    return charger_url("dashboard:variables", charger.identity)


def test_variables_are_listed_by_component_with_their_attributes(api):
    variable = a_variable(characteristics=LIMITS)
    charger = variable.charger
    a_variable(charger, component="EVSE", evse_id=1, variable="Power", mutability="ReadOnly", attribute="MaxSet")
    a_variable(charger, component="Connector", evse_id=1, connector_id=2, variable="Available")
    page = api.get(list_of(charger)).content.decode()
    for text in ("<h2>OCPPCommCtrlr</h2>", "integer · 1–600 s", "<h2>EVSE · EVSE 1</h2>", "MaxSet", "Read-only"):
        assert text in page
    assert "<h2>Connector · EVSE 1 connector 2</h2>" in page
    assert f'href="{list_of(charger)}"' in api.get(page_of(charger)).content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=heart 300", ["HeartbeatInterval"]),
        ("search=evse", ["Power"]),
        ("component=EVSE", ["Power"]),
        ("writable=on", ["HeartbeatInterval"]),
        ("search=nothing", []),
    ],
)
def test_variables_are_searched_and_filtered(api, query, found):
    charger = a_variable().charger
    a_variable(charger, component="EVSE", variable="Power", mutability="ReadOnly", value="1")
    context = api.get(f"{list_of(charger)}?{query}").context
    assert [variable.variable for variable in context["variables"]] == found


def test_configuration_keys_of_ocpp_1_6_are_variables(api):
    charger = a_charger()
    key = a_variable(charger, component="", variable="HeartbeatInterval")
    assert "<h2>Configuration keys</h2>" in api.get(list_of(charger)).content.decode()
    answer = api.post(path_of(key), {"value": "60"})
    command = Command.objects.get()
    assert answer.headers["Location"] == f"/commands/{command.task_id}/"
    assert (command.action, command.payload) == ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"})


@pytest.mark.parametrize(
    ("characteristics", "expected"),
    [
        ({"data_type": "boolean"}, "<option selected>300</option>"),
        (
            {"data_type": "OptionList", "values_list": ["100", "300"]},
            "<option>100</option><option selected>300</option>",
        ),
        (LIMITS, 'value="300" inputmode="decimal"'),
        (None, '<input name="value" value="300"'),
    ],
)
def test_the_form_of_a_variable_has_an_input_for_its_type(api, characteristics, expected):
    page = api.get(path_of(a_variable(characteristics=characteristics))).content.decode()
    assert expected in page


def test_a_variable_that_is_read_only_has_no_form_and_is_not_changed(api):
    variable = a_variable(mutability="ReadOnly")
    assert 'name="value"' not in api.get(path_of(variable)).content.decode()
    answer = api.post(path_of(variable), {"value": "60"})
    assert answer.status_code == 400
    assert "has reported that OCPPCommCtrlr.HeartbeatInterval is read-only." in answer.content.decode()
    assert not Command.objects.exists()


def test_the_value_of_a_secret_is_hidden(api):
    variable = a_variable(component="SecurityCtrlr", variable="BasicAuthPassword", value="Zq-s3cret")
    for path in (path_of(variable), list_of(variable.charger)):
        assert "Zq-s3cret" not in api.get(path).content.decode()


def test_a_user_who_may_not_submit_commands_reads_variables_only(client):
    variable = a_variable()
    a_user(client, "view_charger", group_of=[variable.charger])
    assert 'name="value"' not in client.get(path_of(variable)).content.decode()
    assert client.post(path_of(variable), {"value": "60"}).status_code == 403
    hidden = a_variable()
    assert [client.get(path).status_code for path in (path_of(hidden), list_of(hidden.charger))] == [404, 404]
    elsewhere = charger_url("dashboard:variable", variable.charger.identity, hidden.pk)
    assert client.get(elsewhere).status_code == 404


def test_the_page_of_a_variable_shows_its_history(api):
    variable = a_variable()
    charger, name = variable.charger, VariableName("heartbeatinterval", component="OCPPCommCtrlr")
    variables.accept(charger.pk, name, "60", False, "SetVariables")
    variables.accept(charger.pk, VariableName("Other", component="OCPPCommCtrlr"), "1", False, "SetVariables")
    page = api.get(path_of(variable))
    assert [(change.old_value, change.new_value) for change in page.context["changes"]] == [("300", "60")]
    assert "SetVariables" in page.content.decode()


def test_facts_of_the_standard_are_shown_where_the_charger_reported_none(api):
    page = api.get(path_of(a_variable(component="AuthCtrlr", variable="Enabled", value="true")))
    assert page.context["input"].choices == ["true", "false"]
    assert "boolean" in page.content.decode()


def test_a_value_that_does_not_fit_is_refused_with_the_reason(api):
    variable = a_variable(characteristics=LIMITS)
    answer = api.post(path_of(variable), {"value": "601"})
    assert answer.status_code == 400
    assert "601 is more than 600." in answer.content.decode() and 'value="601"' in answer.content.decode()
