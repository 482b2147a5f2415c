"""Firmware campaigns: canaries, windows, failures, and chargers that are offline or up to date."""

import json
import threading
from datetime import UTC, datetime, time, timedelta
from time import sleep
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chargers.models import Charger, Event, Incident, Site
from chargers.services import audit
from commands.models import Campaign, CampaignItem, Command, Firmware
from commands.services import campaigns, confirmation, incident_causes
from commands.services.lifecycle import _finish
from core.db import bulk_sql
from core.http.errors import Conflict
from tests.support.builders import a_charger, a_command, tell
from tests.support.campaigns import an_image, an_online, online

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("public_url")]
BERLIN, APIA = ZoneInfo("Europe/Berlin"), ZoneInfo("Pacific/Apia")


@pytest.fixture
def alice():
    return User.objects.create_superuser("alice")


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


def boot(charger, version):
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M", firmwareVersion=version)


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
    chargers = [an_online(ocpp_version=version) for version in ("ocpp1.6", "ocpp2.0.1", "ocpp1.6", "ocpp2.0.1")]
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
    boot(charger, "2.0")
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


@pytest.mark.parametrize(
    "outcome", ["connection_lost", "timed_out", "not_connected", "invalid_response", "cancelled"]
)
@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
def test_a_command_that_ended_without_an_answer_frees_its_place(alice, version, outcome):
    chargers = [an_online(ocpp_version=version) for _ in range(2)]
    campaign = a_campaign(alice, chargers, at_once=1, max_failures=9)
    campaigns.advance()
    assert states(campaign) == ["running", "waiting"]
    end(chargers[0], outcome=outcome)
    campaigns.advance()
    assert states(campaign) == ["failed", "running"]
    assert reasons(campaign) == [campaigns.REASONS[outcome]]


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
    charger = an_online(ocpp_version="ocpp2.0.1")
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


def test_a_charger_that_boots_with_another_version_has_failed(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    end(charger)
    boot(charger, "2.0-beta")
    confirmation.look()
    campaigns.advance()
    assert (states(campaign), Command.objects.get().confirmation) == (["failed"], "confirmed")
    assert reasons(campaign) == ["The version after the boot is 2.0-beta, but that of the image is 2.0."]


@pytest.mark.parametrize(("steps", "outcome"), [("boot, Installed", "confirmed"), ("Installed, boot", "failed")])
def test_a_boot_with_the_former_version_counts_after_the_last_status(alice, steps, outcome):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    end(charger)
    for step in steps.split(", "):
        if step == "boot":
            boot(charger, "1.0")
        else:
            tell(charger, "FirmwareStatusNotification", status=step)
    confirmation.look()
    campaigns.advance()
    assert states(campaign) == [outcome]


def test_a_boot_with_any_version_confirms_an_image_of_an_unknown_one(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger], firmware=an_image(version=""))
    campaigns.advance()
    end(charger)
    boot(charger, "2.0-beta")
    confirmation.look()
    campaigns.advance()
    assert states(campaign) == ["confirmed"]


def test_failures_without_a_command_stop_it_at_once(alice):
    chargers = [an_online() for _ in range(4)]
    campaign = a_campaign(alice, chargers, max_failures=2)
    User.objects.update(is_active=False)
    campaigns.advance()
    assert sorted(states(campaign)) == ["failed", "failed", "waiting", "waiting"]
    assert state(campaign) == "stopped"


# --- the end of a campaign ---------------------------------------------------------------------


def ended(campaign):
    """Whether it has ended, so that it can be deleted, and is deleted with age."""
    return Campaign.objects.get(pk=campaign.pk).finished_at is not None


def test_a_stopped_campaign_has_ended_when_nothing_is_under_way(alice):
    chargers = [an_online() for _ in range(2)]
    campaign = a_campaign(alice, chargers, at_once=1)
    campaigns.advance()
    campaigns.stop(campaign, "alice")
    campaigns.advance()
    assert (states(campaign), ended(campaign)) == (["running", "waiting"], False)
    with pytest.raises(Conflict, match="wait for its running updates"):
        campaigns.delete(campaign, "alice")
    succeed(chargers[0])
    assert (states(campaign), state(campaign), ended(campaign)) == (["confirmed", "waiting"], "stopped", True)
    campaigns.resume(campaign, "alice")
    assert (state(campaign), ended(campaign)) == ("running", False)
    campaigns.stop(campaign, "alice")
    assert ended(campaign)
    campaigns.delete(campaign, "alice")
    Firmware.objects.get().delete()
    assert not CampaignItem.objects.exists()


def test_a_user_ends_a_campaign_that_has_stopped_by_itself(alice):
    chargers = [an_online() for _ in range(2)]
    campaign = a_campaign(alice, chargers, at_once=1)
    campaigns.advance()
    report(chargers[0], "InstallationFailed")
    campaigns.advance()
    assert (states(campaign), state(campaign), ended(campaign)) == (["failed", "waiting"], "stopped", True)
    incident_causes.reconcile()
    assert Incident.objects.get(kind="campaign_stopped").cleared_at is None
    campaigns.stop(campaign, "alice")
    assert (state(campaign), Campaign.objects.get().reason) == ("stopped", "")
    incident_causes.reconcile()
    assert Incident.objects.get(kind="campaign_stopped").cleared_at is not None
    with pytest.raises(Conflict, match="stopped by itself"):
        campaigns.stop(campaign, "alice")
    campaigns.retry(campaign, "alice")
    assert (states(campaign), ended(campaign)) == (["waiting", "waiting"], False)


def test_a_stopped_campaign_has_ended_when_its_last_charger_was_deleted(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    campaigns.stop(campaign, "alice")
    CampaignItem.objects.all().delete()
    campaigns.advance()
    assert ended(campaign)


def test_a_paused_campaign_finishes_with_its_last_charger(alice):
    charger = an_online()
    campaign = a_campaign(alice, [charger])
    campaigns.advance()
    campaigns.pause(campaign, "alice")
    succeed(charger)
    assert (states(campaign), state(campaign), ended(campaign)) == (["confirmed"], "finished", True)


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


def test_it_fails_some_unreached_chargers_at_a_time(alice, monkeypatch):
    monkeypatch.setattr(campaigns, "MAX_PER_SWEEP", 2)
    chargers = [a_charger(firmware_version="1.0") for _ in range(3)]
    campaign = a_campaign(alice, chargers)
    late = bulk_sql.clock() + timedelta(days=8)
    online(chargers[2])  # too late
    campaigns.advance(late)
    assert (states(campaign), state(campaign)) == (["failed", "failed", "waiting"], "running")
    campaigns.advance(late)
    assert (states(campaign), state(campaign)) == (["failed"] * 3, "finished")
    assert reasons(campaign) == [campaigns.NOT_REACHED] * 2 + [campaigns.NO_TURN]


@pytest.mark.parametrize("column", ["registration_status", "boot_policy"])
def test_a_charger_that_is_not_accepted_is_waited_for(alice, column):
    rejected, accepted = an_online(**{column: "Rejected"}), an_online()
    campaign = a_campaign(alice, [rejected, accepted], canaries=1)
    campaigns.advance()
    assert states(campaign) == ["waiting", "running"]  # the canary is one that can be updated
    succeed(accepted)
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["waiting", "confirmed"], "running")
    campaigns.advance(bulk_sql.clock() + timedelta(days=8))
    assert (states(campaign), reasons(campaign)) == (["failed", "confirmed"], [campaigns.NOT_ACCEPTED])
    campaigns.retry(campaign, "alice")
    Charger.objects.update(**{column: "Accepted"})
    campaigns.advance()
    assert states(campaign) == ["running", "confirmed"]


def test_a_rejected_canary_stops_nothing(alice):
    canary = an_online()
    campaign = a_campaign(alice, [canary], canaries=1)
    Charger.objects.update(registration_status="Rejected")
    campaigns.advance()
    assert (states(campaign), state(campaign)) == (["waiting"], "running")


def test_a_pending_charger_is_updated_because_ocpp_allows_it(alice):
    chargers = [an_online(ocpp_version=v, registration_status="Pending") for v in ("ocpp1.6", "ocpp2.0.1")]
    campaign = a_campaign(alice, chargers)
    campaigns.advance()
    assert states(campaign) == ["running", "running"]


def test_chargers_with_a_full_queue_do_not_keep_the_others_waiting(alice, settings):
    settings.OCPP_QUEUE_LIMIT = 2
    full, half, by_system = an_online(), an_online(), an_online()
    for charger, user in [(full, "bob")] * 2 + [(half, "bob")] + [(by_system, audit.SYSTEM_ACTOR)] * 2:
        a_command(charger, requested_by=user)
    campaign = a_campaign(alice, [full, half, by_system], at_once=1)
    campaigns.advance()
    assert states(campaign) == ["waiting", "running", "waiting"]
    succeed(half)
    assert states(campaign) == ["waiting", "confirmed", "running"]
    Command.objects.filter(charger=full).update(state="finished", outcome="cancelled")
    succeed(by_system)
    assert states(campaign) == ["running", "confirmed", "confirmed"]


def test_the_image_is_looked_for_only_if_a_charger_is_due(alice, tmp_path):
    gone = a_charger(firmware_version="1.0", registration_status="Accepted")
    campaign = a_campaign(alice, [gone])
    for file in (tmp_path / "files" / "firmware").iterdir():
        file.unlink()
    campaigns.advance()
    assert state(campaign) == "running"
    online(gone)
    campaigns.advance()
    assert state(campaign) == "stopped"


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


def test_two_campaigns_update_a_charger_one_after_the_other(alice):
    shared, other = an_online(), an_online()
    first = a_campaign(alice, [shared])
    second = a_campaign(alice, [shared, other], firmware=an_image("3.0"))
    campaigns.advance()
    assert (states(first), states(second)) == (["running"], ["waiting", "running"])
    succeed(shared)
    campaigns.advance()
    assert (states(first), states(second)) == (["confirmed"], ["running", "running"])


@pytest.mark.parametrize("number", [1, 2])
def test_workers_at_once_send_one_command_to_a_charger(alice, number):
    """Of one campaign, and of two."""
    chargers = [an_online() for _ in range(5)]
    made = [a_campaign(alice, chargers, firmware=an_image(f"{n}.5")) for n in range(number)]
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
    by_charger = list(zip(*map(states, made), strict=True))
    assert [sorted(each) for each in by_charger] == [["running", "waiting"][:number]] * 5
    assert Command.objects.count() == 5


# --- the start ---------------------------------------------------------------------------------


def test_a_campaign_is_started_once(alice):
    campaign = a_campaign(alice, [an_online()])
    with pytest.raises(Conflict):
        campaigns.start(campaign, alice, "alice")
    assert campaign.items.count() == 1


WAITS = "SELECT FROM pg_locks WHERE NOT granted"


@pytest.mark.parametrize("what", ["the draft", "a charger"])
def test_a_change_during_the_start_is_a_conflict(alice, what):
    chargers = [an_online(), an_online()]
    chosen = {"chargers": [charger.identity for charger in chargers]}
    draft = Campaign.objects.create(name="x", chosen=chosen, firmware=an_image(), requested_by="alice")
    found = []

    def start():
        try:
            campaigns.start(Campaign.objects.get(), alice, "alice")
        except Exception as error:  # noqa: BLE001  (asserted below)
            found.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=start)
    with transaction.atomic():
        if what == "the draft":
            campaigns.change(draft, {"chosen": {"chargers": [chargers[0].identity]}}, "alice")
        else:
            Campaign.objects.select_for_update().get()
        thread.start()
        with connection.cursor() as cursor:
            for _ in range(200):
                cursor.execute(WAITS)
                if cursor.rowcount:
                    break
                sleep(0.05)
            assert cursor.rowcount, "the start does not wait for the lock"
        if what == "a charger":
            chargers[1].delete()
    thread.join(30)
    (error,) = found
    assert isinstance(error, Conflict) and "changed meanwhile" in str(error.detail)
    assert (state(draft), CampaignItem.objects.count()) == ("draft", 0)
    if what == "the draft":
        campaigns.start(Campaign.objects.get(), alice, "alice")
        assert states(draft) == ["waiting"]


def test_a_draft_is_not_started_for_chargers_beyond_the_reach_of_its_creator(alice):
    bob = User.objects.create_user("bob")
    bob.user_permissions.set(Permission.objects.filter(codename="add_command"))
    near, far = an_online("NEAR"), an_online("FAR")
    Site.objects.create(name="x").users.add(bob)
    Charger.objects.filter(pk=near.pk).update(site=Site.objects.get())
    image = an_image()
    draft = Campaign.objects.create(name="x", firmware=image, requested_by="bob", chosen={"filter": {"model": "M"}})
    with pytest.raises(Conflict, match="may not send commands to: FAR. Create"):
        campaigns.start(draft, alice, "alice")
    Charger.objects.filter(pk=far.pk).update(model="other")
    campaigns.start(draft, alice, "alice")
    assert [item.charger for item in draft.items.all()] == [near]
    draft = Campaign.objects.create(name="x", firmware=image, requested_by="bob", chosen={"filter": {"model": "M"}})
    User.objects.filter(username="bob").delete()
    with pytest.raises(Conflict, match="may not send commands to: NEAR. Create"):
        campaigns.start(draft, alice, "alice")


# --- many chargers and campaigns ---------------------------------------------------------------


def test_the_search_for_canaries_reads_no_other_rows(alice):
    campaign = a_campaign(alice, [an_online()])
    chargers = Charger.objects.bulk_create(Charger(identity=f"MANY-{number}") for number in range(3000))
    CampaignItem.objects.bulk_create(CampaignItem(campaign=campaign, charger=charger) for charger in chargers)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE commands_campaignitem")
    with CaptureQueriesContext(connection) as captured:
        campaigns.advance()
    wanted = """"is_canary" AND "commands_campaignitem"."state" IN ('waiting', 'running')"""
    (search,) = [query["sql"] for query in captured if wanted in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {search}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "campaign_canaries_left" in plan, plan


def test_items_are_counted_only_for_the_campaigns_of_a_page(alice):
    chargers = [an_online() for _ in range(2)]
    for number in range(4):
        a_campaign(alice, chargers, firmware=an_image(f"{number}.5"))
    page = Campaign.objects.counted()[:1]
    assert page[0].counts == {"waiting": 2, "running": 0, "confirmed": 0, "failed": 0, "skipped": 0}
    (plan,) = json.loads(page.explain(format="json", analyze=True))
    assert loops(plan["Plan"]) == [1] * 5


def loops(part):
    """How often each subquery of this part of a plan was run."""
    own = [part["Actual Loops"]] if part.get("Parent Relationship") == "SubPlan" else []
    return own + [number for inner in part.get("Plans", []) for number in loops(inner)]
