"""Firmware campaigns over REST: drafts, what users do, rights, and events without a charger."""

import pytest
from django.contrib.auth.models import Permission, User

from chargers.models import AuditEntry, Event, Webhook
from commands.models import Campaign, CampaignItem, Command
from commands.services import campaigns
from tests.support.campaigns import an_online
from tests.support.dashboard import a_user

pytestmark = pytest.mark.django_db(transaction=True)
CAMPAIGNS = "/api/ocpp/campaigns/"
RIGHTS = ("view_command", "add_command", "view_charger", "view_event")


def post(api, path="", status=200, key="", **body):
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.post(CAMPAIGNS + path, body, "application/json", headers=headers)
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_campaign_from_its_draft_to_its_end(api, image):
    first, second = an_online("A", vendor="V", model="M"), an_online("B", vendor="V", model="M")
    an_online("C", vendor="V", model="other")
    an_online("D", vendor="V", model="M", firmware_version="2.0")
    draft = post(api, status=201, firmware=image.pk, filter={"vendor": "V", "model": "M"}, at_once=1, canaries=0)
    assert (draft["name"], draft["state"], draft["total"], draft["version"]) == ("Image 2.0", "draft", 0, "2.0")
    assert (draft["weekdays"], draft["from_time"], draft["max_failures"]) == ([1, 2, 3, 4, 5, 6, 7], None, 1)
    path = f"{CAMPAIGNS}{draft['id']}/"
    assert draft["url"] == path
    changed = api.patch(path, {"from_time": "00:00", "until_time": "23:59", "name": "June"}, "application/json")
    assert (changed.status_code, changed.json()["until_time"], changed.json()["filter"]["model"]) == (
        200,
        "23:59",
        "M",
    )
    Campaign.objects.update(from_time=None, until_time=None)
    started = post(api, f"{draft['id']}/start/")
    assert (started["state"], started["total"]) == ("running", 3)
    assert started["states"] == {"waiting": 2, "running": 0, "confirmed": 0, "failed": 0, "skipped": 1}
    assert started["progress"] == pytest.approx(1 / 3)
    post(api, f"{draft['id']}/start/", 409)
    assert api.patch(path, {"name": "x"}, "application/json").status_code == 409
    assert api.delete(path).status_code == 409
    campaigns.advance()
    items = api.get(f"{path}items/?page_size=2").json()
    assert (items["count"], len(items["results"])) == (3, 2)
    (running,) = api.get(f"{path}items/?state=running").json()["results"]
    assert running["charger_id"] in (first.identity, second.identity)
    assert running["task_url"] == f"/api/ocpp/tasks/{Command.objects.get().task_id}/"
    assert post(api, f"{draft['id']}/pause/")["state"] == "paused"
    assert post(api, f"{draft['id']}/resume/")["state"] == "running"
    assert post(api, f"{draft['id']}/stop/")["state"] == "stopped"
    post(api, f"{draft['id']}/pause/", 409)
    post(api, f"{draft['id']}/retry/", 409)  # none has failed
    CampaignItem.objects.filter(state="running").update(state="failed", reason="x")
    assert post(api, f"{draft['id']}/retry/")["states"]["waiting"] == 2
    done = AuditEntry.objects.filter(kind="campaign").order_by("pk").values_list("action", "who")
    wanted = ("created", "changed", "started", "paused", "resumed", "stopped", "retried")
    assert list(done) == [(action, "alice") for action in wanted]


def test_a_draft_is_made_once_for_a_key_and_deleted(api, image):
    body = {"firmware": image.pk, "filter": {}}
    first, again = (post(api, status=201, key="k", **body) for _ in range(2))
    assert first["id"] == again["id"]
    post(api, status=409, key="k", **body | {"days": 3})
    assert api.delete(f"{CAMPAIGNS}{first['id']}/").status_code == 204
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"chargers": ["A"], "filter": {}}, None),
        ({"chargers": None}, None),
        ({"filter": {}, "firmware": 987}, "firmware"),
        ({"filter": {}, "from_time": "22:00"}, "until_time"),
        ({"filter": {}, "from_time": "22:00", "until_time": "22:00"}, "until_time"),
        ({"filter": {}, "from_time": "22:00", "until_time": "22:00:30"}, "until_time"),
        ({"filter": {}, "from_time": "22:00+02:00", "until_time": "23:00"}, "from_time"),
        ({"filter": {}, "weekdays": [8]}, "weekdays"),
        ({"filter": {}, "at_once": 0}, "at_once"),
        ({"filter": {}, "nonsense": 1}, "nonsense"),
    ],
)
def test_an_invalid_campaign_is_refused_with_its_field(api, image, wrong, field):
    answer = post(api, status=400, **{"firmware": image.pk} | wrong)
    assert field is None or field in str(list(answer["fields"])), answer
    assert not Campaign.objects.exists()


def test_a_campaign_that_can_update_no_charger_is_not_started(api, image, settings, tmp_path):
    draft = post(api, status=201, firmware=image.pk, chargers=["gone"])
    assert "gone" in post(api, f"{draft['id']}/start/", 400)["error"]
    draft = post(api, status=201, firmware=image.pk, filter={"model": "none"})
    assert "No charger matches" in post(api, f"{draft['id']}/start/", 400)["error"]
    an_online(model="none")
    settings.PUBLIC_URL = ""
    assert "PUBLIC_URL" in post(api, f"{draft['id']}/start/", 409)["error"]
    assert {campaign.state for campaign in Campaign.objects.all()} == {"draft"}


def test_an_image_with_campaigns_is_not_deleted(api, image):
    draft = post(api, status=201, firmware=image.pk, filter={})
    assert api.delete(f"/api/ocpp/firmware/{image.pk}/").status_code == 409
    api.delete(f"{CAMPAIGNS}{draft['id']}/")
    assert api.delete(f"/api/ocpp/firmware/{image.pk}/").status_code == 204


def test_a_stopped_campaign_is_deleted_and_then_its_image(api, image):
    an_online("A")
    draft = post(api, status=201, firmware=image.pk, filter={})
    path = f"{CAMPAIGNS}{draft['id']}/"
    post(api, f"{draft['id']}/start/")
    assert api.delete(path).status_code == 409
    assert post(api, f"{draft['id']}/stop/")["finished_at"]
    post(api, f"{draft['id']}/stop/", 409)
    assert api.delete(path).status_code == 204
    assert api.delete(f"/api/ocpp/firmware/{image.pk}/").status_code == 204
    assert AuditEntry.objects.filter(kind="campaign").order_by("pk").last().action == "deleted"


def test_a_user_sees_own_campaigns_and_updates_chargers_within_reach(client, api, image):
    foreign = post(api, status=201, firmware=image.pk, filter={})
    mine, other = an_online("MINE"), an_online("OTHER")
    client.logout()
    a_user(client, *RIGHTS, group_of=[mine])
    assert client.get(CAMPAIGNS).json()["results"] == []
    for path in ("", "items/"):
        assert client.get(f"{CAMPAIGNS}{foreign['id']}/{path}").status_code == 404
    for what in ("start", "pause", "resume", "stop", "retry"):
        assert client.post(f"{CAMPAIGNS}{foreign['id']}/{what}/").status_code == 404
    assert client.delete(f"{CAMPAIGNS}{foreign['id']}/").status_code == 404
    draft = post(client, status=201, firmware=image.pk, filter={})
    post(client, f"{draft['id']}/start/")
    items = client.get(f"{CAMPAIGNS}{draft['id']}/items/").json()["results"]
    assert [item["charger_id"] for item in items] == ["MINE"]
    named = post(client, status=201, firmware=image.pk, chargers=["MINE", other.identity])
    assert "OTHER" in post(client, f"{named['id']}/start/", 400)["error"]
    assert {event["kind"] for event in client.get("/api/ocpp/events/").json()["results"]} == {"charger.online"}


def test_reading_and_changing_need_their_permissions(client, image):
    a_user(client, "view_command")
    assert client.get(CAMPAIGNS).status_code == 200
    post(client, status=403, firmware=image.pk, filter={})
    draft = Campaign.objects.create(name="June", firmware=image, chosen={"filter": {}})
    User.objects.get(username="bob").user_permissions.set(Permission.objects.filter(codename="add_command"))
    assert client.get(CAMPAIGNS).status_code == client.get(f"{CAMPAIGNS}{draft.pk}/").status_code == 403
    client.logout()
    assert client.get(CAMPAIGNS).status_code == 401


def test_an_event_of_a_campaign_belongs_to_no_charger_and_is_posted(api, image):
    Webhook.objects.create(name="w", url="http://127.0.0.1:9/", kinds=["campaign.started"])
    an_online("A")
    draft = post(api, status=201, firmware=image.pk, filter={}, name="June")
    post(api, f"{draft['id']}/start/")
    event = Event.objects.get(kind="campaign.started")
    assert event.as_payload()["charger_id"] is None
    (shown,) = api.get("/api/ocpp/events/?kind=campaign.started").json()["results"]
    assert shown["charger_id"] is None
    assert shown["body"] == {"campaign_id": draft["id"], "name": "June", "reason": ""}
    assert event.deliveries.get().state == "pending"
