"""The device model of a charger over REST: `chargers/<id>/variables/`."""

import json

import pytest
from django.contrib.auth.models import Permission, User

from chargers.models import Variable
from chargers.models.variables import READ_ONLY
from chargers.services import variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.models import Command
from tests.support.builders import a_charger
from tests.support.live import an_id

KEYS = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
    {"key": "WifiPassword", "readonly": False, "value": "Zq93"},
]


def path(charger_id):
    return f"/api/ocpp/chargers/{charger_id}/variables/"


def test_reported_configuration_keys_are_listed_and_changed(live):
    charger_id = an_id()
    reported = {"configurationKey": KEYS}
    with live.charger(
        charger_id, GetConfiguration=reported, ChangeConfiguration={"status": "RebootRequired"}
    ) as charger:
        live.finished(live.ask(charger_id, "GetConfiguration", {}))
        page = live.get(path(charger_id))
        body = {"variable": "heartbeatinterval", "value": "60"}
        status, task, headers = live.request("PUT", path(charger_id), body)
        assert live.finished(task)["outcome"] == "answered"
    assert (page["count"], page["next"], page["previous"]) == (3, None, None)
    assert [(row["variable"], row["value"], row["mutability"]) for row in page["results"]] == [
        ("HeartbeatInterval", "300", "ReadWrite"),
        ("NumberOfConnectors", "2", "ReadOnly"),
        ("WifiPassword", "(hidden)", "ReadWrite"),
    ]
    assert (status, headers["Location"]) == (202, task["task_url"])
    sent = json.loads(charger.received[-1])
    assert sent == [2, task["task_id"], "ChangeConfiguration", {"key": "heartbeatinterval", "value": "60"}]
    (row,) = live.get(f"{path(charger_id)}?variable=HeartbeatInterval&component=")["results"]
    assert row.pop("reported_at")
    assert row == {
        **{"component": "", "component_instance": "", "evse_id": None, "connector_id": None},
        **{"variable": "HeartbeatInterval", "instance": "", "attribute": "Actual"},
        **{"value": "60", "mutability": "ReadWrite", "characteristics": None, "reboot_required": True},
        **{"persistent": None, "constant": None, "standard": None},
    }


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"value": "1"}, ["variable"]),
        ({"variable": "A"}, ["value"]),
        ({"variable": "A", "value": None}, ["value"]),
        ({"variable": "A" * 51, "value": "1"}, ["variable"]),
        ({"variable": "A", "value": "x" * 501}, ["value"]),
        ({"variable": "A", "value": "1", "component": "OCPPCommCtrlr"}, ["variable"]),
        ({"variable": "A", "value": "1", "attribute": "Nonsense"}, ["attribute"]),
        ({"variable": "fixed", "value": "1"}, ["variable"]),
    ],
)
@pytest.mark.django_db
def test_a_value_that_cannot_be_set_is_refused(api, body, fields):
    charger = a_charger()
    charger.variables.create(variable="Fixed", value="0", mutability=READ_ONLY)
    answer = api.put(path(charger), body, "application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, fields)
    assert not Command.objects.exists()


@pytest.mark.django_db
def test_a_variable_of_2_0_1_needs_a_component(api):
    charger = a_charger(ocpp_version="ocpp2.0.1")
    answer = api.put(path(charger), {"variable": "A", "value": "1"}, "application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["component"])


def test_a_repeated_change_is_the_same_task(live):
    charger_id, body = an_id(), {"variable": "A", "value": "1"}
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    first, again = (live.request("PUT", path(charger_id), body, Idempotency_Key=charger_id)[1] for _ in range(2))
    assert first["task_id"] == again["task_id"]


@pytest.mark.django_db
def test_variables_are_found_by_each_part_of_their_name_and_by_no_other_parameter(api):
    charger = a_charger()
    for evse_id, component, value in ((None, "OCPPCommCtrlr", "1"), (1, "EVSE", "2"), (2, "EVSE", "3")):
        charger.variables.create(component=component, variable="Available", evse_id=evse_id, value=value)
    a_charger().variables.create(variable="Available", value="4")
    for query, values in (("component=EVSE", "23"), ("evse_id=2", "3"), ("value=1", "1"), ("attribute=Target", "")):
        found = api.get(f"{path(charger)}?variable=Available&{query}").json()["results"]
        assert [row["value"] for row in found] == list(values)
    page = api.get(f"{path(charger)}?page_size=2").json()
    assert (page["count"], len(page["results"])) == (3, 2)
    assert api.get(f"{path(charger)}?charger_id=1").status_code == 400
    assert api.get(path("unknown")).status_code == 404


@pytest.mark.parametrize(
    ("codename", "statuses"),
    [("view_charger", (200, 403)), ("add_command", (403, 400)), ("view_variable", (403, 403))],
)
@pytest.mark.django_db
def test_reading_needs_the_permission_of_the_charger_and_setting_that_of_commands(client, codename, statuses):
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename__in=[codename, "reach_every_charger"]))
    client.force_login(user)
    charger = a_charger()
    answers = client.get(path(charger)), client.put(path(charger), {}, "application/json")
    assert tuple(answer.status_code for answer in answers) == statuses


@pytest.mark.django_db
def test_reports_of_every_part_of_a_name_are_stored_once():
    charger = a_charger()
    limits = {"data_type": "integer", "unit": "A", "max_limit": 32}
    parts = {"component": "EVSE", "component_instance": "Main", "evse_id": 1, "connector_id": 1, "instance": "x"}
    for value in ("1", "2"):
        rows = [
            ReportedVariable(VariableName("Limit", **parts, attribute=attribute), value, READ_ONLY, limits)
            for attribute in ("Actual", "Target")
        ]
        rows += [ReportedVariable(VariableName(name), value) for name in ("Limit", "limit")]
        variables.report(charger.pk, rows, "NotifyReport")
    columns = [*parts, "attribute", "value", "mutability", "characteristics"]
    assert list(Variable.objects.filter(charger=charger, component="EVSE").values(*columns)) == [
        {**parts, "attribute": attribute, "value": "2", "mutability": "ReadOnly", "characteristics": limits}
        for attribute in ("Actual", "Target")
    ]
    assert charger.configuration.get().value == "2"


@pytest.mark.django_db
def test_the_value_of_a_variable_with_a_secret_name_is_hidden():
    charger = a_charger()
    name = VariableName("BasicAuthPassword", "SecurityCtrlr")
    variables.report(charger.pk, [ReportedVariable(name, "Zq93")], "NotifyReport")
    variables.accept(charger.pk, VariableName("Secret", "Vendor"), "Zq93", reboot_required=False, source="X")
    assert [row.value for row in charger.variables.all()] == ["(hidden)"] * 2
