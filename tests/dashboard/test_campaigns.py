"""Pages of firmware campaigns, and a campaign in a browser on a phone."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from chargers.models import Site
from commands.models import Campaign, CampaignItem, Firmware
from commands.services import campaigns
from tests.support.builders import a_charger, open_socket
from tests.support.dashboard import HTML, a_user

FORM = {f"day{day}": "on" for day in range(1, 8)} | {"csrfmiddlewaretoken": "x"}


@pytest.fixture
def image(settings, tmp_path):
    settings.PUBLIC_URL, settings.MEDIA_ROOT = "http://charging.example", tmp_path / "files"
    file = SimpleUploadedFile("fw-2.0.bin", b"image")
    return Firmware.objects.create(description="Image", version="2.0", file=file)


def an_online(charger_id, **columns):
    charger = a_charger(charger_id, **{"vendor": "V", "model": "M", "firmware_version": "1.0"} | columns)
    open_socket(charger)
    return charger


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
        ({"firmware": ""}, "firmware"),
        ({"of_kind": ""}, "Select chargers in exactly one way"),
        ({"of_kind": "nonsense"}, "Select a model from the list."),
        ({"of_kind": "", "chargers_listed": "nobody"}, "Unknown chargers: nobody."),
        ({"until_time": "04:00"}, "Send both"),
        ({"at_once": "many"}, "at_once"),
    ],
)
def test_an_invalid_form_is_shown_again(api, image, changed, message):
    an_online("A")
    answer = api.post("/campaigns/new/", FORM | {"firmware": str(image.pk), "of_kind": '["V", "M"]'} | changed)
    assert (answer.status_code, message in text(answer)) == (400, True), text(answer)
    assert not Campaign.objects.exists()


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
