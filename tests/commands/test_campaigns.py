"""Firmware campaigns: canaries, windows, failures, and chargers that are offline or up to date."""

import threading
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from chargers.models import Charger, Event, Incident, Site
from commands.models import Campaign, CampaignItem, Command, Firmware
from commands.services import campaigns, confirmation, incident_causes
from commands.services.lifecycle import _finish
from core.db import bulk_sql
from core.http.errors import Conflict
from tests.support.builders import a_charger, open_socket, tell

pytestmark = pytest.mark.django_db(transaction=True)
BERLIN, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")


@pytest.fixture(autouse=True)
def public_url(settings, tmp_path):
    settings.PUBLIC_URL, settings.MEDIA_ROOT = "http://charging.example", tmp_path / "files"


@pytest.fixture
def alice():
    return User.objects.create_superuser("alice")


def an_image(version="2.0"):
    file = SimpleUploadedFile("fw-2.0.bin", b"image")
    return Firmware.objects.create(description=f"Image {version}", version=version, file=file)


def online(charger):
    open_socket(charger)
    charger.refresh_from_db()
    return charger


def an_online(version="ocpp1.6", **columns):
    columns = {"firmware_version": "1.0", "registration_status": "Accepted"} | columns
    return online(a_charger(ocpp_version=version, **columns))


def a_campaign(user, chargers, **columns):
    """A campaign that runs for `chargers`."""
    columns = {"name": "June", "canaries": 0, "requested_by": user.username} | columns
    chosen = {"chargers": [charger.identity for charger in chargers]}
    image = columns.pop("firmware", None) or an_image()
    campaign = Campaign.objects.create(chosen=chosen, firmware=image, **columns)
    campaigns.start(campaign, user, user.username)
    return campaign


def states(campaign):
    """The states of the items, in the order in which the campaign lists its chargers."""
    items = {item.charger.identity: item.state for item in campaign.items.select_related("charger")}
    return [items[identity] for identity in Campaign.objects.get(pk=campaign.pk).chosen["chargers"]]


def state(campaign):
    return Campaign.objects.get(pk=campaign.pk).state


def reasons(campaign):
    return [reason for reason in campaign.items.values_list("reason", flat=True) if reason]


def end(charger, response=None, outcome="answered", **columns):
    """End the command of `charger` that is under way; return it."""
    command = CampaignItem.objects.get(charger=charger, state="running").command
    Command.objects.filter(pk=command.pk).update(state="sent", sent_at=bulk_sql.clock())
    command.refresh_from_db()
    accepted = {} if command.action == "UpdateFirmware" and charger.ocpp_version == "ocpp1.6" else ACCEPTED
    given = {"response": accepted if response is None else response} if outcome == "answered" else {}
    _finish(command, outcome, **given, **columns)
    return command


ACCEPTED = {"status": "Accepted"}


def report(charger, status):
    """Let `charger` accept its update and report `status`, and look for effects."""
    command = end(charger)
    asked = {"requestId": command.request_id} if command.request_id else {}
    tell(charger, "FirmwareStatusNotification", status=status, **asked)
    confirmation.look()


def succeed(*chargers):
    for charger in chargers:
        report(charger, "Installed")
    campaigns.advance()


# --- the life of a campaign --------------------------------------------------------------------


def test_the_others_wait_until_each_canary_is_confirmed(alice):
    chargers = [an_online(version) for version in ("ocpp1.6", "ocpp2.0.1", "ocpp1.6", "ocpp2.0.1")]
    campaign = a_campaign(alice, chargers, canaries=2)
    campaigns.advance()
    assert states(campaign) == ["running", "running", "waiting", "waiting"]
    end(chargers[0])
    succeed(chargers[1])
    assert states(campaign) == ["running", "confirmed", "waiting", "waiting"]  # accepted is not confirmed
    tell(chargers[0], "FirmwareStatusNotification", status="Installed")
    Command.objects.update(look_at=bulk_sql.clock())
    confirmation.look()
    campaigns.advance()
    assert states(campaign) == ["confirmed", "confirmed", "running", "running"]
    succeed(*chargers[2:])
    assert (states(campaign), state(campaign)) == (["confirmed"] * 4, "finished")
    assert {command.action for command in Command.objects.all()} == {"UpdateFirmware"}
    assert {command.requested_by for command in Command.objects.all()} == {"alice"}
    assert Campaign.objects.get().finished_at


def test_a_signed_image_is_sent_as_signed(alice):
    charger = an_online()
    image = an_image()
    Firmware.objects.update(signing_certificate="PEM", signature="c2ln")
    image.refresh_from_db()
    a_campaign(alice, [charger], firmware=image)
    campaigns.advance()
    assert Command.objects.get().action == "SignedUpdateFirmware"


def test_a_few_chargers_are_updated_at_a_time(alice):
    chargers = [an_online() for _ in range(3)]
    campaign = a_campaign(alice, chargers, at_once=2)
    campaigns.advance()
    campaigns.advance()
    assert states(campaign) == ["running", "running", "waiting"]
    succeed(chargers[0])
    assert states(campaign) == ["confirmed", "running", "running"]


def test_a_charger_that_boots_with_the_version_is_confirmed(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    end(charger)
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M", firmwareVersion="2.0")
    confirmation.look()
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["confirmed"], "finished")


def test_a_charger_with_the_version_is_skipped(alice):
    has_it, gets_it, lacks_it = an_online(firmware_version="2.0"), an_online(), an_online()
    campaign = a_campaign(alice, [has_it, gets_it, lacks_it], canaries=1, at_once=1)
    campaigns.advance()
    assert states(campaign) == ["skipped", "running", "waiting"]
    Charger.objects.filter(pk=lacks_it.pk).update(firmware_version="2.0")  # updated by hand meanwhile
    succeed(gets_it)
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["skipped", "confirmed", "skipped"], "finished")
    assert reasons(campaign) == [campaigns.HAS_VERSION] * 2


# --- failures ----------------------------------------------------------------------------------


def test_too_many_failures_stop_it_and_the_others_wait(alice):
    chargers = [an_online() for _ in range(4)]
    campaign = a_campaign(alice, chargers, at_once=2, max_failures=2)
    campaigns.advance()
    end(chargers[0], outcome="call_error", error={"code": "NotSupported", "description": "", "details": {}})
    campaigns.advance()
    assert states(campaign) == ["failed", "running", "running", "waiting"]
    end(chargers[1], outcome="timed_out", simulated_response={})
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["failed", "failed", "running", "waiting"], "stopped")
    assert Campaign.objects.get().reason == "2 updates have failed."
    assert reasons(campaign) == ["The charger answered the error NotSupported.", "The charger did not answer."]
    succeed(chargers[2])  # one that is under way goes on
    assert states(campaign) == ["failed", "failed", "confirmed", "waiting"]
    kinds = list(Event.objects.filter(kind__startswith="campaign").order_by("pk").values_list("kind", flat=True))
    assert kinds == ["campaign.started", "campaign.item_failed", "campaign.item_failed", "campaign.stopped"]
    campaigns.resume(campaign, "alice")
    campaigns.advance()
    assert (states(campaign)[3], state(campaign)) == ("running", "running")


def test_a_failed_canary_stops_it(alice):
    chargers = [an_online() for _ in range(2)]
    campaign = a_campaign(alice, chargers, canaries=1, max_failures=9)
    campaigns.advance()
    report(chargers[0], "InstallationFailed")
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["failed", "waiting"], "stopped")
    assert reasons(campaign) == ["The charger reported InstallationFailed."]
    incident_causes.reconcile()
    incident = Incident.objects.get(kind="campaign_stopped")
    assert (incident.code, incident.detail, incident.charger) == ("June", campaigns.CANARY_FAILED, None)
    campaigns.resume(campaign, "alice")  # the operator accepts that this one has failed
    campaigns.advance()
    assert states(campaign) == ["failed", "running"]


def test_a_refused_update_has_failed(alice):
    charger = an_online("ocpp2.0.1")
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    end(charger, response={"status": "Rejected"})
    campaigns.advance()
    assert (states(campaign), reasons(campaign)) == (["failed"], ["The charger answered Rejected."])


def test_an_update_whose_effect_is_not_seen_has_failed(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    end(charger)
    Command.objects.update(confirm_until=bulk_sql.clock(), look_at=bulk_sql.clock())
    confirmation.look()
    campaigns.advance()
    assert states(campaign) == ["failed"]
    assert reasons(campaign)[0].startswith("Not seen within")


def test_failed_updates_are_repeated(alice):
    chargers = [an_online() for _ in range(3)]
    campaign = a_campaign(alice, chargers)
    campaigns.advance()
    report(chargers[0], "DownloadFailed")
    succeed(*chargers[1:])
    assert (states(campaign), state(campaign)) == (["failed", "confirmed", "confirmed"], "finished")
    assert campaigns.retry(campaign, "alice") == 1
    assert states(campaign) == ["waiting", "confirmed", "confirmed"]
    campaigns.advance()
    succeed(chargers[0])
    assert (states(campaign), state(campaign)) == (["confirmed"] * 3, "finished")
    assert Command.objects.filter(charger=chargers[0]).count() == 2
    with pytest.raises(Conflict):
        campaigns.retry(campaign, "alice")


def test_a_paused_campaign_sends_nothing_and_records_what_is_under_way(alice):
    chargers = [an_online() for _ in range(2)]
    campaign = a_campaign(alice, chargers, at_once=1)
    campaigns.advance()
    campaigns.pause(campaign, "alice")
    succeed(chargers[0])
    assert (states(campaign), state(campaign)) == (["confirmed", "waiting"], "paused")
    campaigns.resume(campaign, "alice")
    campaigns.advance()
    assert states(campaign) == ["confirmed", "running"]
    campaigns.stop(campaign, "alice")
    assert (states(campaign), state(campaign)) == (["confirmed", "running"], "stopped")
    incident_causes.reconcile()
    assert not Incident.objects.filter(kind="campaign_stopped").exists()  # a user has stopped it


def test_a_user_who_may_no_longer_command_updates_nothing(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    User.objects.update(is_active=False)
    campaigns.advance()
    assert (states(campaign), reasons(campaign)) == (["failed"], [campaigns.MAY_NOT])
    assert not Command.objects.exists()


def test_a_campaign_without_its_image_stops(alice, tmp_path):
    campaign = a_campaign(alice, [an_online()])
    for file in (tmp_path / "files" / "firmware").iterdir():
        file.unlink()
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["waiting"], "stopped")
    assert "Upload it again" in Campaign.objects.get().reason


# --- chargers that are offline, and windows ----------------------------------------------------


def test_a_charger_that_is_offline_is_waited_for(alice):
    here, gone = an_online(), a_charger(firmware_version="1.0", registration_status="Accepted")
    campaign = a_campaign(alice, [gone, here], canaries=1, days=3)
    campaigns.advance()
    assert states(campaign) == ["waiting", "running"]  # the canary is one that is connected
    succeed(here)
    soon = bulk_sql.clock() + timedelta(days=2)
    campaigns.advance(soon)
    assert (states(campaign), state(campaign)) == (["waiting", "confirmed"], "running")
    campaigns.advance(soon + timedelta(days=2))
    assert (states(campaign), state(campaign)) == (["failed", "confirmed"], "finished")
    assert reasons(campaign) == [campaigns.NOT_REACHED]
    campaigns.retry(campaign, "alice")
    online(gone)
    campaigns.advance()
    assert states(campaign) == ["running", "confirmed"]


def test_it_sends_only_in_the_window_of_the_site_of_each_charger(alice):
    in_berlin = an_online(site=Site.objects.create(name="B", time_zone="Europe/Berlin"))
    in_apia = an_online(site=Site.objects.create(name="A", time_zone="Pacific/Apia"))
    window = {"from_time": time(22), "until_time": time(4), "weekdays": [3]}
    campaign = a_campaign(alice, [in_berlin, in_apia], days=300, **window)
    day = (bulk_sql.clock() + timedelta(days=14)).astimezone(BERLIN)
    wednesday = (day + timedelta(days=2 - day.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    campaigns.advance(wednesday.replace(hour=21, minute=59))
    assert states(campaign) == ["waiting", "waiting"]
    campaigns.advance(wednesday.replace(tzinfo=APIA, hour=22))
    assert states(campaign) == ["waiting", "running"]
    campaigns.advance(wednesday + timedelta(hours=3, minutes=59))  # of the window of Tuesday, which there is not
    assert states(campaign) == ["waiting", "running"]
    campaigns.advance(wednesday + timedelta(days=1, hours=3, minutes=59))
    assert states(campaign) == ["running", "running"]


@pytest.mark.parametrize(
    ("moment", "may"),
    [
        ("2026-03-28T01:30:00Z", True),  # 2:30 of the day before
        ("2026-03-29T00:59:00Z", False),  # 1:59
        ("2026-03-29T01:00:00Z", False),  # 3:00, because the hour from 2:00 is left out
        ("2026-03-30T00:30:00Z", True),
        ("2026-10-25T00:30:00Z", True),  # 2:30 of summer time
        ("2026-10-25T01:30:00Z", True),  # 2:30 again
        ("2026-10-25T02:00:00Z", False),
    ],
)
def test_a_window_is_of_the_clock_on_the_wall_when_it_is_changed(moment, may):
    campaign = Campaign(from_time=time(2), until_time=time(3))
    assert campaign.may_send_at(datetime.fromisoformat(moment).astimezone(UTC), BERLIN) == may


def test_two_workers_at_once_send_one_command_to_a_charger(alice):
    chargers = [an_online() for _ in range(5)]
    campaign = a_campaign(alice, chargers)
    failures, begin = [], threading.Barrier(4)

    def work():
        try:
            begin.wait(10)
            for _ in range(3):
                campaigns.advance()
        except Exception as error:  # noqa: BLE001  (asserted below)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    assert states(campaign) == ["running"] * 5
    assert Command.objects.count() == 5


def test_a_campaign_is_started_once(alice):
    campaign = a_campaign(alice, [an_online()])
    with pytest.raises(Conflict):
        campaigns.start(campaign, alice, "alice")
    assert campaign.items.count() == 1
