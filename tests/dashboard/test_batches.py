"""Batches and schedules on the pages."""

import pytest
from django.contrib.auth.models import User

from commands.models import Batch, Command, Schedule
from commands.services import batches
from tests.support.builders import a_charger
from tests.support.dashboard import new_batch

pytestmark = pytest.mark.django_db


def test_a_batch_is_created_for_the_chargers_of_a_form(api):
    chosen = [a_charger() for _ in range(3)]
    a_charger("another")
    answer = new_batch(api, spread_minutes="2")
    batch = Batch.objects.get()
    assert answer.headers["Location"] == f"/batches/{batch.pk}/"
    assert batch.payload == {"type": "Soft"}
    assert {item.charger for item in batch.items.all()} == set(chosen)
    assert batch.spread_seconds == 120
    assert chosen[0].identity in api.get(f"/batches/{batch.pk}/").content.decode()


def test_a_batch_of_an_intent_is_created_and_shown_in_words(api):
    chargers = [a_charger(ocpp_version="ocpp2.0.1"), a_charger()]
    form = api.get("/batches/new/availability/").content.decode()
    assert '<option value="availability" selected>Availability</option>' in form
    assert "EVSE (in OCPP 1.6: connector)" in form
    new_batch(api, "availability", is_operative="false", evse_id="2")
    batch = Batch.objects.get()
    assert (batch.intent, batch.payload) == ("availability", {"is_operative": False, "evse_id": 2})
    assert batches.release() == 2
    page = api.get(f"/batches/{batch.pk}/").content.decode()
    assert "Availability to 2 chargers" in page
    assert "Operative: No · EVSE (in OCPP 1.6: connector): 2" in page
    assert "Availability" in api.get("/batches/").content.decode()
    payloads = [Command.objects.get(charger=charger).payload for charger in chargers]
    assert payloads == [
        {"evse": {"id": 2}, "operationalStatus": "Inoperative"},
        {"connectorId": 2, "type": "Inoperative"},
    ]


def test_an_action_of_a_chosen_version_goes_to_chargers_of_that_version(api):
    new, old = a_charger("CP-new", ocpp_version="ocpp2.0.1"), a_charger("CP-old")
    chosen = api.get("/batches/").content.decode()
    assert '<optgroup label="OCPP 2.0.1">' in chosen and 'value="Reset/ocpp2.0.1"' in chosen
    form = api.get("/batches/new/Reset/ocpp2.0.1/").content.decode()
    assert '<option value="Reset/ocpp2.0.1" selected>' in form and "OnIdle" in form
    answer = api.post("/batches/new/Reset/ocpp2.0.1/", {"type": "OnIdle", "of_search": "CP-", "confirmed": "1"})
    assert batches.release() == 2
    assert Command.objects.get().charger == new
    page = api.get(answer.headers["Location"]).content.decode()
    assert f"This is a payload of {new.version}, and the charger speaks {old.version}." in page


@pytest.mark.parametrize("path", ["GetBaseReport/ocpp1.6", "reset/ocpp9", "GetConfiguration/ocpp2.0.1", "Nothing"])
def test_a_version_without_the_command_has_no_form(api, path):
    assert api.get(f"/batches/new/{path}/").status_code == 404
    assert api.post(f"/batches/new/{path}/").status_code == 404


def test_a_schedule_of_an_intent_is_shown_in_words(api):
    a_charger()
    new_batch(api, "reset", is_immediate="true", when="every", when_every="60", schedule_name="hourly")
    assert (Schedule.objects.get().intent, Schedule.objects.get().action) == ("reset", "")
    page = api.get("/batches/").content.decode()
    assert "Restart" in page and "At once, without stopping transactions first: Yes" in page


def test_a_batch_is_created_for_the_filtered_fleet(api):
    chosen = a_charger("CP 01 of two words", vendor="ACME")
    a_charger(vendor="other")
    page = api.get("/?search=acme").content.decode()
    assert "/batches/new/reset/?search=acme" in page
    listed = api.get("/batches/new/reset/?search=acme").context["values"]["chargers_listed"]
    new_batch(api, of_search="", chargers_listed=f"{listed}\r\n\r\n")
    assert [item.charger for item in Batch.objects.get().items.all()] == [chosen]


def test_a_batch_for_every_charger_needs_a_confirmation(api):
    a_charger("one"), a_charger("another")
    assert new_batch(api, of_search="").status_code == 400
    assert new_batch(api, of_search="one", everyone="on").status_code == 400
    new_batch(api, of_search="", everyone="on")
    assert Batch.objects.get().items.count() == 2


def test_a_batch_is_cancelled_from_its_page(api):
    a_charger()
    new_batch(api)
    batch = Batch.objects.get()
    assert api.post(f"/batches/{batch.pk}/cancel/").status_code == 302
    assert Batch.objects.get().cancelled_by == "alice"
    assert "Cancel unsent commands" not in api.get(f"/batches/{batch.pk}/").content.decode()


@pytest.mark.parametrize(
    ("when", "fields"),
    [("at", "2100-01-31T03:00:00Z"), ("every", "60"), ("crontab", "30 3 * * *")],
)
def test_a_batch_form_creates_a_schedule(api, when, fields):
    a_charger()
    new_batch(api, when=when, schedule_name="nightly", **{f"when_{when}": fields})
    schedule = Schedule.objects.get()
    assert schedule.next_run_at
    assert not Batch.objects.exists()
    assert "nightly" in api.get("/batches/").content.decode()
    api.post(f"/schedules/{schedule.pk}/", {"do": "switch"})
    assert not Schedule.objects.get().is_enabled
    api.post(f"/schedules/{schedule.pk}/", {"do": "delete"})
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"of_search": "nobody"},
        {"chargers_listed": "nobody"},
        {"spread_minutes": "long"},
        {"spread_minutes": "nan"},
        {"spread_minutes": "-1"},
        {"answer_within": "soon"},
        {"type": "Gentle"},
        {"action": "reset", "is_immediate": "perhaps"},
        {"action": "start", "id_tag": ""},
        {"when": "crontab", "when_crontab": "never", "schedule_name": "x"},
        {"when": "at", "when_at": "2100-01-01T00:00:00Z", "schedule_name": ""},
        {"when": "some day"},
        {"when": "now", "when_at": "2100-01-01T00:00:00Z"},
    ],
)
def test_an_invalid_batch_form_shows_an_error(api, wrong):
    a_charger()
    answer = new_batch(api, **wrong)
    assert answer.status_code == 400
    assert 'class="wrong"' in answer.content.decode()
    assert not Batch.objects.exists()
    assert not Schedule.objects.exists()


def test_switching_a_schedule_does_not_change_its_owner(client, api):
    a_charger()
    new_batch(api, when="every", when_every="60", schedule_name="hourly")
    schedule = Schedule.objects.get()
    client.force_login(User.objects.create_superuser("carol"))
    client.post(f"/schedules/{schedule.pk}/", {"do": "switch"})
    schedule.refresh_from_db()
    assert (schedule.is_enabled, schedule.owner.username, schedule.requested_by) == (False, "alice", "alice")
