"""Variables of all chargers, their history, reports and network profiles over REST."""

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from chargers.models import Charger, ChargerGroup, NetworkProfile
from chargers.services import variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.models import Command
from tests.support.builders import a_charger, a_command, tell

pytestmark = pytest.mark.django_db
API = "/api/ocpp"


def a_station(charger_id=None):
    return a_charger(charger_id, ocpp_version="ocpp2.0.1")


def know(charger, component, variable, value, **parts):
    name = VariableName(variable, component, **parts)
    variables.report(charger.pk, [ReportedVariable(name, value)], "NotifyReport")


def notify(charger, request_id, *items, seq_no=0, tbc=False):
    """Report (variable, value) of the component C."""
    data = [
        {"component": {"name": "C"}, "variable": {"name": name}, "variableAttribute": [{"value": value}]}
        for name, value in items
    ]
    sent = {"requestId": request_id, "generatedAt": "2030-01-01T00:00:00Z", "seqNo": seq_no, "tbc": tbc}
    tell(charger, "NotifyReport", **sent, reportData=data)


def found(api, path):
    answer = api.get(f"{API}/{path}")
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_variables_of_all_chargers_are_listed_and_found(api):
    first, second = a_station("CP-A"), a_station("CP-B")
    know(first, "OCPPCommCtrlr", "HeartbeatInterval", "300")
    know(first, "EVSE", "Power", "11", evse_id=1)
    know(second, "OCPPCommCtrlr", "HeartbeatInterval", "60")
    rows = found(api, "variables/?component=OCPPCommCtrlr&variable=HeartbeatInterval")
    assert [(row["charger_id"], row["value"]) for row in rows] == [("CP-B", "60"), ("CP-A", "300")]
    for query, count in (("charger_id=CP-A", 2), ("q=heartbeat", 2), ("q=evse", 1), ("value=60", 1), ("q=x", 0)):
        assert len(found(api, f"variables/?{query}")) == count, query
    assert len(found(api, "chargers/CP-A/variables/?q=BEAT")) == 1


def test_a_variable_is_shown_with_the_facts_of_the_standard(api):
    charger = a_station("CP-A")
    for component, variable, instance in (
        ("ocppcommctrlr", "heartbeatinterval", ""),
        ("DeviceDataCtrlr", "ItemsPerMessage", "GetReport"),
        ("Fan", "Problem", ""),
        ("Fan", "Colour", ""),
        ("", "Available", ""),
    ):
        know(charger, component, variable, "1", instance=instance)
    rows = {row["variable"]: row["standard"] for row in found(api, "chargers/CP-A/variables/")}
    heartbeat = rows["heartbeatinterval"]
    assert heartbeat.pop("description")
    assert heartbeat == {
        **{"data_type": "integer", "unit": "s", "min_limit": 1, "max_limit": None},
        **{"values_list": [], "is_required": False},
    }
    assert rows["ItemsPerMessage"]["is_required"] is True
    assert rows["Problem"]["data_type"] == "boolean"
    assert (rows["Colour"], rows["Available"]) == (None, None)


def test_changes_are_listed_newest_first(api):
    charger = a_station("CP-A")
    for value in ("1", "2", "3"):
        know(charger, "C", "V", value)
    rows = found(api, "variables/history/?charger_id=CP-A&component=C")
    assert [(row["old_value"], row["new_value"], row["source"]) for row in rows] == [
        ("2", "3", "NotifyReport"),
        ("1", "2", "NotifyReport"),
    ]
    assert found(api, "variables/history/?until=2020-01-01T00:00:00Z") == []
    assert api.get(f"{API}/variables/history/?colour=red").status_code == 400


def test_reports_are_listed_shown_and_compared(api):
    charger = a_station("CP-A")
    command = a_command(charger, "GetBaseReport", {"reportBase": "FullInventory", "requestId": 7}, request_id=7)
    notify(charger, 7, ("Same", "1"), ("Gone", "1"), tbc=True)
    assert found(api, "chargers/CP-A/reports/")[0]["is_complete"] is False
    notify(charger, 7, ("Changed", "1"), seq_no=1)
    notify(charger, 8, ("Same", "1"), ("Changed", "2"), ("New", "1"))
    latest, first = found(api, "chargers/CP-A/reports/")
    assert (latest["request_id"], latest["report_base"], latest["task_id"], latest["action"]) == (8, "", None, "")
    assert (first["request_id"], first["parts"], first["is_complete"]) == (7, 2, True)
    assert (first["report_base"], first["task_id"]) == ("FullInventory", command.task_id)
    shown = api.get(f"{API}/chargers/CP-A/reports/7/").json()
    assert [(row["variable"], row["value"]) for row in shown["variables"]] == [
        ("Same", "1"),
        ("Gone", "1"),
        ("Changed", "1"),
    ]
    difference = api.get(f"{API}/chargers/CP-A/reports/7/difference/?to=8").json()
    assert [row["variable"] for row in difference["added"]] == ["New"]
    assert [row["variable"] for row in difference["removed"]] == ["Gone"]
    (changed,) = difference["changed"]
    assert (changed["variable"], changed["old_value"], changed["new_value"]) == ("Changed", "1", "2")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("reports/9/", 404),
        ("reports/9/difference/?to=8", 404),
        ("reports/8/difference/?to=9", 404),
        ("reports/8/difference/", 400),
        ("reports/8/difference/?to=x", 400),
    ],
)
def test_a_report_that_is_not_known_is_not_found(api, path, status):
    notify(a_station("CP-A"), 8, ("A", "1"))
    assert api.get(f"{API}/chargers/CP-A/{path}").status_code == status


def test_network_profiles_are_listed(api):
    charger = a_station("CP-A")
    now = timezone.now()
    columns = {"connection": {"ocppCsmsUrl": "wss://x"}, "security_profile": 2, "accepted_at": now}
    NetworkProfile.objects.create(charger=charger, slot=1, status="Accepted", answered_at=now, **columns)
    NetworkProfile.objects.create(charger=charger, slot=2, status="Failed", answered_at=now)
    assert [row["slot"] for row in found(api, "network-profiles/?charger_id=CP-A")] == [2, 1]
    (row,) = found(api, "network-profiles/?status=Accepted")
    assert (row["security_profile"], row["connection"]) == (2, {"ocppCsmsUrl": "wss://x"})


def test_lists_have_the_rows_of_chargers_within_reach_only(client):
    near, far = a_station("NEAR"), a_station("FAR")
    for charger in (near, far):
        for value in ("1", "2"):
            know(charger, "C", "V", value)
        NetworkProfile.objects.create(charger=charger, slot=1, status="Failed", answered_at=timezone.now())
    group = ChargerGroup.objects.create(name="North")
    group.chargers.set(Charger.objects.filter(pk=near.pk))
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename="view_charger"))
    group.users.set([user])
    client.force_login(user)
    for path in ("variables/", "variables/history/", "network-profiles/"):
        assert {row["charger_id"] for row in found(client, path)} == {"NEAR"}
    assert client.get(f"{API}/chargers/FAR/reports/").status_code == 404


def test_a_value_with_every_part_of_its_name_is_set_over_rest(api, monkeypatch):
    monkeypatch.setattr("commands.services.submission._enqueue", lambda command: None)
    charger = a_station("CP-A")
    body = {"component": "EVSE", "component_instance": "Main", "evse_id": 1, "connector_id": 2}
    body |= {"variable": "Limit", "instance": "x", "attribute": "Target", "value": "16"}
    answer = api.put(f"{API}/chargers/CP-A/variables/", body, "application/json")
    assert answer.status_code == 202, answer.content
    (data,) = Command.objects.get(charger=charger).payload["setVariableData"]
    assert data == {
        "attributeValue": "16",
        "attributeType": "Target",
        "component": {"name": "EVSE", "instance": "Main", "evse": {"id": 1, "connectorId": 2}},
        "variable": {"name": "Limit", "instance": "x"},
    }


def test_a_value_that_the_charger_would_refuse_is_answered_with_400(api):
    charger = a_station("CP-A")
    name = VariableName("V", "C")
    limits = {"data_type": "integer", "max_limit": 5}
    variables.report(charger.pk, [ReportedVariable(name, "1", characteristics=limits)], "NotifyReport")
    body = {"component": "C", "variable": "V", "value": "6"}
    answer = api.put(f"{API}/chargers/CP-A/variables/", body, "application/json")
    assert (answer.status_code, "more than 5" in answer.json()["error"]) == (400, True)


def test_the_portions_of_a_command_are_found_by_the_first_one(api):
    first = a_command(a_station("CP-A"))
    second = a_command(first.charger, follows=first)
    (row,) = found(api, f"commands/?follows={first.task_id}")
    assert (row["task_id"], row["follows"]) == (second.task_id, first.task_id)
