"""Pages of firmware campaigns, and a campaign in a browser on a phone."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chargers.models import Charger, Site
from commands.models import Campaign, CampaignItem
from commands.services import campaigns
from tests.support.builders import a_charger, a_command
from tests.support.campaigns import an_online
from tests.support.dashboard import HTML, a_user

FORM = {f"day{day}": "on" for day in range(1, 8)} | {"csrfmiddlewaretoken": "x"}


def text(answer):
    return answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_form_says_what_happens_before_a_campaign_is_started(api, image):
    an_online("UPDATED")
    an_online("DONE", firmware_version="2.0")
    an_online("ELSE", model="other")
    a_charger("GONE", vendor="V", model="M", firmware_version="1.0")
    form = FORM | {"firmware": str(image.pk), "of_kind": '["V", "M"]', "canaries": "1", "days": "7"}
    form |= {"from_time": "22:00", "until_time": "04:00"}
    asked = text(api.post("/campaigns/new/", form))
    assert "This is sent to 2 chargers." in asked
    assert "Not connected now: GONE. Days for which the campaign waits for them: 7." in asked
    assert "Skipped, because they have the version 2.0 already (1): DONE" in asked
    assert '<td>V M</td><td class="number">2</td><td class="number">1</td>' in asked
    assert "daily 22:00–04:00" in asked and "Canaries: 1." in asked
    assert "ELSE" not in asked
    assert not Campaign.objects.exists()
    assert 'value="22:00"' in text(api.post("/campaigns/new/", form | {"change": "1"}))
    drafted = api.post("/campaigns/new/", form | {"draft": "1"}, follow=True)
    assert "Draft" in text(drafted) and "Start campaign…" in text(drafted)
    campaign = Campaign.objects.get()
    assert "This is sent to 2 chargers." in text(api.get(f"/campaigns/{campaign.pk}/start/"))
    shown = text(api.post(f"/campaigns/{campaign.pk}/start/", follow=True))
    assert "Running" in shown and "Skipped" in shown and "has this version already" in shown
    assert "Image" in text(api.get("/campaigns/"))
    Campaign.objects.update(from_time=None, until_time=None)
    campaigns.advance()
    CampaignItem.objects.filter(state="running").update(state="failed", reason=campaigns.CANARY_FAILED)
    assert "UPDATED" in text(api.get(f"/campaigns/{campaign.pk}/?state=failed"))
    assert "This is sent to 1 charger." in text(api.get(f"/campaigns/{campaign.pk}/retry/"))
    for do, state in (("pause", "paused"), ("resume", "running"), ("stop", "stopped"), ("retry", "running")):
        api.post(f"/campaigns/{campaign.pk}/{do}/")
        assert Campaign.objects.get().state == state
    again = text(api.post(f"/campaigns/{campaign.pk}/resume/", follow=True))
    assert "Only a paused or stopped campaign can be resumed." in again


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"firmware": ""}, "Image: "),
        ({"of_kind": ""}, "Select chargers in exactly one way"),
        ({"of_kind": "nonsense"}, "Select a model from the list."),
        ({"of_kind": "", "chargers_listed": "nobody"}, "Unknown chargers: nobody."),
        ({"until_time": "04:00"}, "Send both"),
        ({"at_once": "many"}, "Chargers at a time: A valid integer is required."),
        ({"max_failures": "0"}, "Stop after failures: Ensure this value is greater than or equal to 1."),
        ({"canaries": "-1"}, "Canaries: Ensure"),
        ({"days": "x"}, "Wait for chargers (days): "),
    ],
)
def test_an_invalid_form_is_shown_again(api, image, changed, message):
    an_online("A")
    answer = api.post("/campaigns/new/", FORM | {"firmware": str(image.pk), "of_kind": '["V", "M"]'} | changed)
    assert (answer.status_code, message in text(answer)) == (400, True), text(answer)
    assert not Campaign.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "label"), [("at_once", "Ladestationen gleichzeitig"), ("canaries", "Vorreiter")])
def test_a_wrong_field_is_named_in_german(api, image, name, label):
    an_online("A")
    form = FORM | {"firmware": str(image.pk), "of_kind": '["V", "M"]', name: "many"}
    answer = text(api.post("/campaigns/new/", form, headers={"Accept-Language": "de"}))
    assert f"{label}: " in answer and f"{name}: " not in answer


@pytest.mark.django_db(transaction=True)
def test_a_campaign_that_cannot_be_started_from_the_form_stays_a_draft(api, image):
    an_online("A")
    image.file.storage.delete(image.file.name)
    form = FORM | {"firmware": str(image.pk), "of_kind": '["V", "M"]', "confirmed": "1"}
    shown = text(api.post("/campaigns/new/", form, follow=True))
    assert "The file of Image 2.0 is missing in the storage. Upload it again." in shown
    assert "Draft" in shown and "Start campaign…" in shown
    assert Campaign.objects.get().state == "draft"
    assert not CampaignItem.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_campaign_that_has_stopped_by_itself_is_ended_and_deleted_on_its_page(api, image):
    an_online("A")
    campaign = Campaign.objects.create(name="June", firmware=image, chosen={"filter": {}}, requested_by="alice")
    campaigns.start(campaign, User.objects.get(), "alice")
    image.file.storage.delete(image.file.name)
    campaigns.advance()
    path = f"/campaigns/{campaign.pk}/"
    assert "Upload it again" in text(api.get(path)) and "<button>End</button>" in text(api.get(path))
    shown = text(api.post(f"{path}stop/", follow=True))
    assert "Upload it again" not in shown and "<button>End</button>" not in shown
    assert "<button>Delete</button>" in shown
    api.post(f"{path}delete/")
    assert not Campaign.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_pages_have_a_fixed_number_of_queries(api, image, django_assert_num_queries):
    def one_more():
        charger = an_online()
        campaign = Campaign.objects.create(name="June", firmware=image, chosen={"filter": {}}, requested_by="alice")
        for each in Charger.objects.all():
            campaign.items.create(charger=each, command=a_command(charger))
        return campaign

    first = one_more()
    one = first.pk
    api.get("/campaigns/"), api.get(f"/campaigns/{one}/")  # what is looked up once a process
    with CaptureQueriesContext(connection) as of_list:
        api.get("/campaigns/")
    with CaptureQueriesContext(connection) as of_page:
        api.get(f"/campaigns/{one}/")
    last = [one_more() for _ in range(3)][-1]
    with django_assert_num_queries(len(of_list)):
        api.get("/campaigns/")
    with django_assert_num_queries(len(of_page)):
        assert text(api.get(f"/campaigns/{last.pk}/")).count("<tr>") == 5
    assert (len(of_list), len(of_page)) == (7, 7)


@pytest.mark.django_db(transaction=True)
def test_campaigns_of_others_are_not_found(client, image):
    foreign = Campaign.objects.create(name="x", firmware=image, chosen={"filter": {}}, requested_by="alice")
    mine, other = an_online("MINE"), an_online("OTHER", model="secret")
    Site.objects.create(name="far away").chargers.add(other)
    a_user(client, "view_charger", "view_command", "add_command", group_of=[mine])
    for path in ("", "start/", "retry/", "resume/"):
        assert client.get(f"/campaigns/{foreign.pk}/{path}", **HTML).status_code == 404
    for do in ("start", "pause", "resume", "stop", "retry", "delete", "nonsense"):
        assert client.post(f"/campaigns/{foreign.pk}/{do}/", **HTML).status_code == 404
    form = text(client.get("/campaigns/new/"))
    assert "secret" not in form and "far away" not in form
    assert Campaign.objects.get().state == "draft"
