"""The pages of incidents."""

import pytest

from chargers.models import Incident, Site
from dashboard import incidents as own
from dashboard.readiness import Problem
from tests.support.builders import a_charger, an_incident
from tests.support.dashboard import a_user, page_of

pytestmark = pytest.mark.django_db


def page(client, path="/incidents/"):
    answer = client.get(path)
    assert answer.status_code == 200, answer.content
    return answer.content.decode()


def test_open_incidents_are_first_and_closed_ones_only_by_the_filter(api):
    an_incident(a_charger("CP-ACK"), state="acknowledged")
    an_incident(a_charger("CP-OPEN"))
    an_incident(a_charger("CP-CLOSED"), state="closed")
    shown = page(api)
    assert shown.index("CP-OPEN") < shown.index("CP-ACK")
    assert "CP-CLOSED" not in shown
    assert "CP-CLOSED" in page(api, "/incidents/?state=closed")
    assert "CP-OPEN" not in page(api, "/incidents/?site=nowhere")
    assert 'class="badge">1<' in shown


def test_one_press_in_the_list_acknowledges(api):
    incident = an_incident(a_charger())
    assert f'action="/incidents/{incident.pk}/"' in page(api)
    answer = api.post(f"/incidents/{incident.pk}/", {"do": "acknowledge", "next": "list"})
    assert (answer.status_code, answer["Location"]) == (302, "/incidents/")
    incident.refresh_from_db()
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "alice")
    assert 'class="badge"' not in page(api)


def test_an_incident_shows_its_meaning_and_history_and_takes_notes(api):
    incident = an_incident(a_charger("505", site=Site.objects.create(name="Depot")), code="OverVoltage")
    path = f"/incidents/{incident.pk}/"
    for form in (
        {"do": "take"},
        {"do": "note", "text": "Asked the grid operator."},
        {"do": "assign", "user": ""},
        {"do": "close"},
    ):
        assert api.post(path, form)["Location"] == path
    shown = page(api, path)
    for text in ("The voltage has risen", "505", "Depot", "Asked the grid operator.", "Closed"):
        assert text in shown
    assert 'value="close"' not in shown
    incident.refresh_from_db()
    assert (incident.state, incident.assignee) == ("closed", None)
    assert "This incident is closed." in api.post(path, {"do": "take"}, follow=True).content.decode()
    assert "There is no user x" in api.post(path, {"do": "assign", "user": "x"}, follow=True).content.decode()


def test_the_page_of_a_charger_shows_its_open_incidents(api):
    charger = a_charger()
    an_incident(charger, code="OverVoltage")
    an_incident(charger, code="WeakSignal", state="closed")
    shown = page(api, page_of(charger))
    assert "OverVoltage" in shown
    assert "WeakSignal" not in shown


def test_a_user_without_the_permission_sees_no_incidents(client):
    charger = a_charger()
    an_incident(charger)
    a_user(client, "view_charger", group_of=[charger])
    assert client.get("/incidents/").status_code == 403
    assert "/incidents/" not in page(client, "/")
    assert client.post("/incidents/1/", {"do": "close"}).status_code == 403


def test_a_user_who_may_only_look_gets_no_buttons(client):
    near, far = an_incident(a_charger("NEAR")), an_incident(a_charger("FAR"))
    a_user(client, "view_incident", "view_charger", group_of=[near.charger])
    shown = page(client)
    assert "NEAR" in shown
    assert "FAR" not in shown
    assert 'value="acknowledge"' not in shown
    assert client.get(f"/incidents/{far.pk}/").status_code == 404
    assert client.post(f"/incidents/{near.pk}/", {"do": "close"}).status_code == 403


def test_a_part_that_is_missing_for_a_moment_is_no_incident():
    missing = Problem("worker", "missing", "There is no worker.", "", "Start one.", True, "")
    assert own.lasting([], 0) == own.lasting([missing], 10) == own.lasting([missing], 50) == []
    assert own.lasting([missing], 10 + own.PATIENCE_S) == [missing]
    assert own.lasting([], 60) == own.lasting([missing], 70) == []


def test_problems_of_this_system_are_incidents_until_they_end(api):
    full = Problem("files_disk", "full", "The disk is full.", "It is this one.", "Free space.", False, "")
    for problems in ([full], [full], []):
        own.incidents.apply(own.rule(problems), own.Span(own.bulk_sql.clock()))
    incident = Incident.objects.get()
    assert (incident.kind, incident.charger, incident.severity) == ("system", None, "critical")
    assert incident.cleared_at
    assert "The disk is full. It is this one. Free space." in page(api, f"/incidents/{incident.pk}/")


def test_the_list_takes_few_queries(api, django_assert_max_num_queries):
    for number in range(60):
        an_incident(a_charger(site=Site.objects.create(name=str(number))))
    page(api)
    with django_assert_max_num_queries(9):
        page(api)
