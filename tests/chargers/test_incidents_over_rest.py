"""Incidents over REST: lists, filters, and what users do with them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from chargers.models import Event, Incident, Site
from commands.services.maintenance import maintain
from tests.support.builders import a_charger, an_incident

pytestmark = pytest.mark.django_db
INCIDENTS = "/api/ocpp/incidents/"


def ids(api, query=""):
    answer = api.get(INCIDENTS + query)
    assert answer.status_code == 200, answer.content
    return [row["id"] for row in answer.json()["results"]]


def post(api, incident, what, body=None):
    return api.post(f"{INCIDENTS}{incident.pk}/{what}/", body or {}, content_type="application/json")


def a_client(name, role="Operators"):
    user = User.objects.create_user(name)
    user.groups.set(Group.objects.filter(name=role))
    client = Client()
    client.force_login(user)
    return user, client


def test_incidents_are_listed_newest_first_and_filtered(api):
    site = Site.objects.create(name="Depot")
    at_site = an_incident(a_charger("A", site=site), code="GroundFailure", connector_id=2, evse_id=2)
    other = an_incident(a_charger("B"), kind="offline", severity="warning", state="acknowledged")
    own = an_incident(kind="system", state="closed")
    assert ids(api) == [own.pk, other.pk, at_site.pk]
    for query, found in (
        ("?site=Depot", [at_site.pk]),
        (f"?site={site.pk}", [at_site.pk]),
        ("?site=Nowhere", []),
        ("?charger_id=B", [other.pk]),
        ("?state=open", [at_site.pk]),
        ("?state=acknowledged", [other.pk]),
        ("?state=closed", [own.pk]),
        ("?kind=offline", [other.pk]),
        ("?severity=critical", [own.pk, at_site.pk]),
        ("?severity=critical&state=open", [at_site.pk]),
    ):
        assert ids(api, query) == found, query
    for wrong in ("?state=nonsense", "?kind=nonsense", "?severity=nonsense"):
        assert api.get(INCIDENTS + wrong).status_code == 400


def test_an_incident_says_where_and_what_it_is(api):
    charger = a_charger("505", site=Site.objects.create(name="Depot"))
    an_incident(charger, code="GroundFailure", vendor_code="7", connector_id=2, evse_id=2, detail="RCD")
    (row,) = api.get(INCIDENTS).json()["results"]
    wanted = {
        "kind": "fault",
        "severity": "critical",
        "state": "open",
        "title": "Connector reports a fault",
        "charger_id": "505",
        "site": charger.site.pk,
        "site_name": "Depot",
        "connector_id": 2,
        "code": "GroundFailure",
        "vendor_code": "7",
        "detail": "RCD",
        "meaning": "The ground fault protection has tripped.",
        "recurrences": 0,
        "assignee": None,
    }
    assert row == row | wanted
    assert "electrician" in row["what_to_do"]


def test_an_incident_is_acknowledged_assigned_noted_and_closed(api):
    incident = an_incident(a_charger())
    for _ in range(2):
        answer = post(api, incident, "acknowledge")
        assert answer.status_code == 200
        assert (answer.json()["state"], answer.json()["acknowledged_by"]) == ("acknowledged", "alice")
    assert post(api, incident, "assign", {"user": "alice"}).json()["assignee"] == "alice"
    assert post(api, incident, "assign", {"user": None}).json()["assignee"] is None
    assert post(api, incident, "note", {"text": "Electrician comes at 9."}).status_code == 200
    closed = post(api, incident, "close").json()
    assert (closed["state"], closed["closed_by"]) == ("closed", "alice")
    history = api.get(f"{INCIDENTS}{incident.pk}/").json()["history"]
    assert [(entry["action"], entry["who"], entry["text"]) for entry in history] == [
        ("acknowledged", "alice", ""),
        ("assigned", "alice", "alice"),
        ("assigned", "alice", ""),
        ("note", "alice", "Electrician comes at 9."),
        ("closed", "alice", ""),
    ]
    assert post(api, incident, "close").status_code == 200
    for what, body in (("acknowledge", {}), ("assign", {"user": "alice"})):
        assert post(api, incident, what, body).status_code == 409
    kinds = Event.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["incident.acknowledged", "incident.closed"]


def test_invalid_bodies_are_refused(api):
    incident = an_incident(a_charger())
    for what, body in (
        ("assign", {}),
        ("assign", {"user": "nobody"}),
        ("assign", {"user": "alice", "x": 1}),
        ("note", {}),
        ("note", {"text": ""}),
        ("note", {"text": "x" * 4001}),
    ):
        assert post(api, incident, what, body).status_code == 400, (what, body)
    assert api.post(f"{INCIDENTS}987654/acknowledge/").status_code == 404
    assert not incident.entries.exists()


def test_a_user_sees_incidents_of_chargers_within_reach_and_none_of_this_system(api):
    site = Site.objects.create(name="Depot")
    near, far, own = an_incident(a_charger(site=site)), an_incident(a_charger()), an_incident(kind="system")
    user, bob = a_client("bob")
    site.users.add(user)
    assert ids(bob) == [near.pk]
    for incident in (far, own):
        assert bob.get(f"{INCIDENTS}{incident.pk}/").status_code == 404
        assert post(bob, incident, "acknowledge").status_code == 404
    assert post(bob, near, "acknowledge").status_code == 200
    # A user who cannot see the incident is answered like an unknown one.
    a_client("carol")
    refused = post(bob, near, "assign", {"user": "carol"})
    assert refused.content == post(bob, near, "assign", {"user": "nobody"}).content.replace(b"nobody", b"carol")
    assert post(bob, near, "assign", {"user": "bob"}).json()["assignee"] == "bob"


def test_a_viewer_may_not_change_an_incident():
    site = Site.objects.create(name="Depot")
    incident = an_incident(a_charger(site=site))
    user, viewer = a_client("bob", "Viewers")
    site.users.add(user)
    assert ids(viewer) == [incident.pk]
    for what in ("acknowledge", "assign", "note", "close"):
        assert post(viewer, incident, what).status_code == 403


def test_a_page_of_incidents_takes_few_queries(api, django_assert_max_num_queries):
    for number in range(30):
        an_incident(
            a_charger(site=Site.objects.create(name=str(number))), assignee=User.objects.get(username="alice")
        )
    ids(api)
    with django_assert_max_num_queries(4):
        ids(api)


def test_old_incidents_are_deleted_with_their_history(settings):
    settings.OCPP_INCIDENTS_RETENTION = 30
    old = datetime.now(UTC) - timedelta(days=31)
    gone = an_incident(state="closed", is_current=False, closed_at=old)
    gone.entries.create(at=old, action="closed")
    kept = [an_incident(state="closed", closed_at=old), an_incident(opened_at=old)]
    maintain()
    assert list(Incident.objects.order_by("pk")) == kept
