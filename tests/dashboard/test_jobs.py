"""Jobs: power limits, settings of a model, what forms say before they send, and batches that are repeated."""

import json

import pytest

from chargers.models import Site, Variable
from commands.models import FINISHED, Batch, BatchItem, Command, PowerLimit
from core.db import bulk_sql
from tests.support.builders import a_charger, a_command, a_transaction, open_socket, tell
from tests.support.dashboard import HTML, a_user, page_of

pytestmark = pytest.mark.django_db(transaction=True)
FORM = {"amount": "6", "unit": "A", "from_time": "18:00", "until_time": "22:00", "csrfmiddlewaretoken": "x"}
FORM |= {f"day{day}": "on" for day in range(1, 6)}


def text(answer):
    return answer.content.decode()


def test_a_limit_of_a_charger_is_made_after_a_confirmation_and_removed(api):
    charger = a_charger()
    open_socket(charger)
    assert "Limit power" in text(api.get(page_of(charger)))
    assert "Whole charger" in text(api.get(f"/limits/new/?charger={charger.identity}"))
    form = FORM | {"charger": charger.identity, "evse_id": "0"}
    asked = text(api.post("/limits/new/", form))
    assert "This is sent to 1 charger." in asked and "Mon–Fri 18:00–22:00" in asked
    assert not PowerLimit.objects.exists()
    answer = api.post("/limits/new/", form | {"confirmed": "1"})
    assert answer.status_code == 302
    limit = PowerLimit.objects.get()
    assert (limit.amount, limit.weekdays, limit.created_by) == (6, [1, 2, 3, 4, 5], "alice")
    shown = text(api.get(page_of(charger)))
    assert "6\N{NO-BREAK SPACE}A" in shown and "Sent" in shown
    curve = api.get(f"/curves/chargers/{charger.identity}/limits.json").json()
    assert len(curve["at"]) == len(curve["limit"]) == 22
    assert set(curve["limit"]) == {None, 6}
    assert curve == api.get(f"/curves/limits/{limit.pk}.json").json()
    assert "Mon–Fri" in text(api.get("/limits/?state=active"))
    assert "This is sent to 1 charger." in text(api.get(f"/limits/{limit.pk}/remove/"))
    api.post(f"/limits/{limit.pk}/remove/")
    assert "Being removed" in text(api.get(f"/limits/{limit.pk}/"))


def test_the_form_for_a_site_says_what_each_charger_gets(api):
    site = Site.objects.create(name="Depot", time_zone="Europe/Berlin")
    for _ in range(3):
        a_charger(site=site)
    form = FORM | {"site": str(site.pk), "amount": "33", "unit": "kW"}
    asked = text(api.post("/limits/new/", form))
    assert "This is sent to 3 chargers." in asked and "11\N{NO-BREAK SPACE}kW" in asked and "Europe/Berlin" in asked
    assert 'value="33"' in text(api.post("/limits/new/", form | {"change": "1"}))
    answer = api.post("/limits/new/", form | {"confirmed": "1"}, follow=True)
    assert text(answer).count("11\N{NO-BREAK SPACE}kW") == 3
    assert "is divided among its chargers" in text(answer)
    assert PowerLimit.objects.get().amount == 33_000


def test_several_chargers_get_a_limit_each(api):
    ids = [a_charger().identity for _ in range(2)]
    form = FORM | {"chargers_listed": "\n".join(ids), "confirmed": "1"}
    assert api.post("/limits/new/", form).status_code == 302
    assert sorted(PowerLimit.objects.values_list("charger__identity", flat=True)) == sorted(ids)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "Select either a site or chargers."),
        ({"chargers_listed": "nobody"}, "Charger not found"),
        ({"chargers_listed": "A", "amount": "much"}, "valid number"),
        ({"chargers_listed": "A", "until_time": ""}, "both"),
    ],
)
def test_an_invalid_form_is_shown_again(api, changed, message):
    a_charger("A")
    answer = api.post("/limits/new/", FORM | changed)
    assert (answer.status_code, message in text(answer)) == (400, True), text(answer)
    assert not PowerLimit.objects.exists()


def test_limits_out_of_reach_are_not_found(client):
    mine, other = a_charger(), a_charger()
    foreign = PowerLimit.objects.create(amount=6, charger=other)
    a_user(client, "view_charger", "view_command", "add_command", group_of=[mine])
    paths = [f"/limits/{foreign.pk}/", f"/limits/{foreign.pk}/remove/", f"/curves/limits/{foreign.pk}.json"]
    paths += [f"/limits/new/?charger={other.identity}", f"/curves/chargers/{other.identity}/limits.json"]
    assert [client.get(path, **HTML).status_code for path in paths] == [404] * 5
    assert other.identity not in text(client.get("/limits/"))
    assert client.post(f"/limits/{foreign.pk}/remove/").status_code == 404
    refused = client.post("/limits/new/", FORM | {"chargers_listed": other.identity, "confirmed": "1"})
    assert refused.status_code == 400


def test_the_page_of_a_charger_takes_a_fixed_number_of_queries_for_its_limits(api, django_assert_max_num_queries):
    charger = a_charger()
    for number in range(5):
        PowerLimit.objects.create(amount=6, charger=charger, evse_id=number)
    with django_assert_max_num_queries(60):
        api.get(page_of(charger))


# --- forms of a charger ------------------------------------------------------------------------


def test_a_form_offers_connectors_and_sessions_by_name(api):
    charger = a_transaction(idTag="TAG-7").charger
    tell(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    form = text(api.get(f"/chargers/{charger.identity}/submit/start/"))
    assert "Connector 1 (Charging)" in form
    assert "Connector 1: TAG-7" in text(api.get(f"/chargers/{charger.identity}/submit/stop/"))
    assert "Out of service" in text(api.get(f"/chargers/{charger.identity}/submit/availability/"))


def test_a_reset_is_sent_after_a_confirmation(api):
    charger = a_charger()
    path = f"/chargers/{charger.identity}/submit/reset/"
    asked = text(api.post(path, {"is_immediate": "true"}))
    assert "Each charger restarts at once." in asked and "This is sent to 1 charger." in asked
    assert not Command.objects.exists()
    assert api.post(path, {"is_immediate": "true", "change": "1"}).status_code == 200
    assert api.post(path, {"is_immediate": "true", "confirmed": "1"}).status_code == 302
    assert Command.objects.get().payload == {"type": "Hard"}


# --- many chargers -----------------------------------------------------------------------------


def test_a_batch_says_how_many_chargers_it_is_for(api):
    for _ in range(3):
        a_charger(model="M1")
    form = {"is_immediate": "false", "of_model": "M1"}
    asked = text(api.post("/batches/new/reset/", form))
    assert "This is sent to 3 chargers." in asked and "3 are not connected." in asked
    assert not Batch.objects.exists()
    assert api.post("/batches/new/reset/", form | {"confirmed": "1"}).status_code == 302
    assert Batch.objects.get().total == 3


def an_item(batch, state="created", **command):
    charger = a_charger()
    made = a_command(charger, state=FINISHED, **command) if command else None
    BatchItem.objects.create(batch=batch, charger=charger, due_at=bulk_sql.clock(), state=state, command=made)
    return charger.identity


def test_a_batch_is_repeated_for_those_that_failed(api):
    batch = Batch.objects.create(
        intent="reset",
        payload={"is_immediate": True},
        chosen={},
        total=6,
        start_at=bulk_sql.clock(),
        finished_at=bulk_sql.clock(),
    )
    an_item(batch, outcome="answered", response={"status": "Accepted"})
    failed = [
        an_item(batch, outcome="answered", response={"status": "Rejected"}),
        an_item(batch, outcome="timed_out", simulated=True, simulated_response={"status": "Accepted"}),
        an_item(batch, "refused"),
        an_item(batch, outcome="answered", response={"setVariableResult": [{"attributeStatus": "Rejected"}]}),
        an_item(batch, outcome="answered", response={"status": "Accepted"}, confirmation="not_seen"),
    ]
    assert "Repeat for those that failed" in text(api.get(f"/batches/{batch.pk}/"))
    asked = text(api.get(f"/batches/{batch.pk}/repeat/"))
    assert "This is sent to 5 chargers." in asked
    assert api.post(f"/batches/{batch.pk}/repeat/").status_code == 302
    again = Batch.objects.exclude(pk=batch.pk).get()
    assert (again.intent, again.payload, again.chosen["chargers"]) == ("reset", {"is_immediate": True}, failed)


def test_a_setting_is_changed_at_all_chargers_of_a_model(api):
    for number in range(2):
        charger = a_charger(vendor="ACME", model="M1")
        Variable.objects.create(charger=charger, variable=("HeartbeatInterval", "Volume")[number], value="60")
        Variable.objects.create(charger=charger, variable="WifiPassword", value="x")
    assert "ACME M1 (2)" in text(api.get("/batches/settings/"))
    model = json.dumps(["ACME", "M1", ""])
    listed = text(api.get("/batches/settings/", {"of": model}))
    assert "HeartbeatInterval" in listed and "Volume" in listed and "WifiPassword" not in listed
    variable = json.dumps(["", "", None, None, "HeartbeatInterval", "", "Actual"])
    form = {"of": model, "variable": variable, "value": "120"}
    assert "New value" in text(api.get("/batches/settings/", {"of": model, "variable": variable}))
    asked = text(api.post("/batches/settings/", form))
    assert "HeartbeatInterval is set to 120." in asked and "This is sent to 2 chargers." in asked
    assert api.post("/batches/settings/", form | {"confirmed": "1"}).status_code == 302
    batch = Batch.objects.get()
    assert (batch.action, batch.payload) == ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "120"})
    assert api.post("/batches/settings/", {"of": "x", "variable": "y"}).status_code == 400
