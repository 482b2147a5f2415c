"""Access to the pages: logins, permissions, reach, and what is hidden."""

import re

import pytest
from django.contrib.auth.models import Permission

from chargers.models import Variable
from commands.models import Batch, Command
from dashboard.templatetags.dashboard import charger_url
from tests.support.builders import a_charger, a_command, a_transaction, tell
from tests.support.dashboard import HTML, a_user, new_batch, page_of

pytestmark = pytest.mark.django_db


PAGES = ["/", "/transactions/", "/reports/", "/commands/", "/curves/fleet.json"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_redirects_to_the_login(client, path):
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"] == f"/login/?next={path}"


@pytest.mark.parametrize("path", PAGES)
def test_a_refused_page_names_the_missing_permission(client, path):
    a_user(client)
    answer = client.get(path)
    assert answer.status_code == 403
    assert "view_" in answer.content.decode()


def test_chargers_out_of_reach_are_not_found(client):
    mine, other = a_charger(), a_charger()
    session, command = a_transaction(other), a_command(other)
    a_user(client, "view_charger", "view_transaction", "view_command", group_of=[mine])
    fleet_page = client.get("/").content.decode()
    assert mine.identity in fleet_page
    assert other.identity not in fleet_page
    hidden = [page_of(other), f"/transactions/{session.pk}/", f"/commands/{command.task_id}/"]
    hidden.append(f"/curves/transactions/{session.pk}.json")
    assert [client.get(path, **HTML).status_code for path in hidden] == [404] * 4
    assert other.identity not in client.get("/transactions/").content.decode()


def test_transactions_are_shown_only_with_the_permission(client):
    session = a_transaction(idTag="TAG-1")
    user = a_user(client, "view_charger", group_of=[session.charger])
    assert f"/transactions/{session.pk}/" not in client.get(page_of(session.charger)).content.decode()
    assert "current power" not in client.get("/").content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_transaction"))
    assert f"/transactions/{session.pk}/" in client.get(page_of(session.charger)).content.decode()
    assert "current power" in client.get("/").content.decode()


def test_the_page_of_a_charger_links_to_its_messages_that_were_not_applied(api):
    charger = a_charger()
    tell(charger, "StopTransaction", transactionId=7, meterStop=5, timestamp="2025-02-26T13:00:00Z")
    [link] = re.findall(r'<a href="([^"]+)">Messages not applied</a>', api.get(page_of(charger)).content.decode())
    listed = api.get(link)
    assert [orphan.charger for orphan in listed.context["cl"].result_list] == [charger]
    assert "Select message not applied" in listed.content.decode()


def test_a_secret_among_configuration_keys_is_hidden(api):
    charger = a_charger()
    for key in ("WifiPassword", "HeartbeatInterval"):
        Variable.objects.create(charger=charger, variable=key, value=f"{key} 1234")
    page = api.get(page_of(charger)).content.decode()
    assert "HeartbeatInterval 1234" in page
    assert "WifiPassword" in page
    assert "WifiPassword 1234" not in page


def test_a_user_who_may_not_submit_commands_sees_no_form(client):
    charger = a_charger()
    a_user(client, "view_charger", "view_command", group_of=[charger])
    assert "Actions" not in client.get(page_of(charger)).content.decode()
    answer = client.post(charger_url("dashboard:submit", charger.identity, "ClearCache"))
    assert answer.status_code == 403
    assert not Command.objects.exists()


def test_an_unknown_path_is_a_page_for_browsers_and_json_for_programs(api):
    assert "text/html" in api.get("/chargers/nobody/", **HTML).headers["Content-Type"]
    assert api.get("/api/ocpp/nothing/", **HTML).json()["error"].startswith("Not found")
    assert "error" in api.get("/nothing").json()


def test_batches_of_others_are_not_found(client, api):
    a_charger()
    new_batch(api)
    batch = Batch.objects.get()
    a_user(client, "view_charger", "view_command", "add_command", group_of=[a_charger()])
    assert client.get(f"/batches/{batch.pk}/", **HTML).status_code == 404
    assert client.post(f"/batches/{batch.pk}/cancel/", **HTML).status_code == 404
    assert str(batch.pk) not in client.get("/batches/").content.decode()
