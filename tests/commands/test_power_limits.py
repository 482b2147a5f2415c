"""Power limits: the curve of a week, the profiles that keep it, and chargers that have what they should."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from chargers.models import Charger, InstalledProfile, Site, Variable
from chargers.services.schedules import schedules_of
from commands.actions.table import action_of
from commands.models import FINISHED, Command, LimitedPlace, PowerLimit
from commands.services import power_curves, power_limits, roles
from commands.services.power_curves import Part, Place
from core.db import bulk_sql
from tests.support.builders import a_charger, open_socket
from tests.support.live import an_id, eventually, until_connected

LIMITS = "/api/ocpp/power-limits/"
BERLIN = ZoneInfo("Europe/Berlin")
SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)  # a Wednesday
WINTER = datetime(2026, 12, 2, 12, tzinfo=UTC)
HERE = Place(7, 1, 0)
VERSIONS = ("ocpp1.6", "ocpp2.0.1")
EVENINGS = {"weekdays": [1, 2, 3, 4, 5], "from_time": "18:00", "until_time": "22:00"}


def a_limit(amount=6.0, first=None, last=None, days=range(1, 8), **columns):
    return PowerLimit(amount=amount, from_time=first, until_time=last, weekdays=list(days), **columns)


def week(*limits, unit="A"):
    return [(step.minute, step.limit) for step in power_curves.week(map(Part, limits), unit)]


def profile(*limits, now=SUMMER, unit="A", place=HERE):
    return power_curves.profile([Part(limit) for limit in limits], unit, BERLIN, now, place)


# --- curves and profiles -----------------------------------------------------------------------


def test_the_curve_of_a_week_is_the_lowest_of_the_limits():
    evenings = a_limit(6, time(18), time(22), [1])
    assert week(a_limit(16)) == [(0, 16)]
    assert week(a_limit(16), evenings) == [(0, 16), (18 * 60, 6), (22 * 60, 16)]
    assert week(evenings) == [(0, None), (18 * 60, 6), (22 * 60, None)]


def test_a_time_until_the_next_day_goes_over_midnight_and_over_the_end_of_the_week():
    assert week(a_limit(6, time(22), time(6), [7])) == [(0, 6), (360, None), (6 * 1440 + 1320, 6)]


def test_a_share_is_rounded_down_and_converted_as_for_three_phases_of_230_volts():
    assert Part(a_limit(100), 3).amount_in("A") == 33.3
    assert Part(a_limit(6)).amount_in("W") == 4140
    assert Part(a_limit(11_000, unit="W")).amount_in("A") == 15.9
    assert Part(a_limit(0.3), 1).amount_in("A") == 0.3


def test_a_limit_that_always_holds_is_a_profile_that_is_always_valid():
    made = profile(a_limit(10))
    assert (made.kind, made.schedule) == (
        "Absolute",
        {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}]},
    )
    assert profile(a_limit(10), place=Place(7, 1, 2)).kind == "Relative"


def test_a_daily_limit_is_a_daily_profile_that_ends_with_it():
    made = profile(a_limit(6, time(18), time(22)))
    assert (made.repeats, made.periods, made.duration_s) == ("Daily", ((0, 6),), 4 * 3600)
    assert made.begins_at == datetime(2026, 6, 30, 16, tzinfo=UTC)  # yesterday at 18:00 of summer time
    overnight = profile(a_limit(6, time(22), time(6)))
    assert (overnight.repeats, overnight.periods, overnight.duration_s) == ("Daily", ((0, 6),), 8 * 3600)


def test_a_limit_on_weekdays_is_a_weekly_profile_without_the_weekend():
    made = profile(a_limit(6, time(18), time(22), range(1, 6)))
    assert (made.repeats, made.begins_at) == ("Weekly", datetime(2026, 6, 29, 16, tzinfo=UTC))
    assert made.duration_s == (4 * 24 + 4) * 3600
    assert len(made.periods) == 9
    assert made.periods[:3] == ((0, 6), (4 * 3600, power_curves.FREE["A"]), (24 * 3600, 6))


def test_two_limits_of_different_height_leave_no_gap():
    made = profile(a_limit(16), a_limit(6, time(18), time(22)))
    assert (made.periods, made.duration_s) == (((0, 6), (4 * 3600, 16)), None)


@pytest.mark.parametrize(("now", "hour"), [(SUMMER, 16), (WINTER, 17)])
def test_a_profile_begins_by_the_present_offset(now, hour):
    begins_at = profile(a_limit(6, time(18), time(22)), now=now).begins_at
    assert (begins_at.hour, begins_at <= now) == (hour, True)


@pytest.mark.parametrize("minute", range(0, 7 * 1440, 197))
def test_a_profile_has_the_limit_of_the_curve(minute):
    limits = [
        a_limit(16, time(6), time(9, 30), [1, 3]),
        a_limit(6, time(8), time(20)),
        a_limit(10, time(22), time(2), [5, 7]),
    ]
    made = profile(*limits)
    (schedule,) = schedules_of({"chargingSchedule": made.schedule, "recurrencyKind": made.repeats})
    local = datetime(2026, 7, 6, tzinfo=BERLIN) + timedelta(minutes=minute)
    found = schedule.limit_at(local.astimezone(UTC), None)
    steps = power_curves.week(map(Part, limits), "A")
    wanted = next(step for step in reversed(steps) if step.minute <= minute)
    assert (None if found is None or found.value == power_curves.FREE["A"] else found.value) == wanted.limit


# --- wanted = installed, in process ------------------------------------------------------------


def online(charger):
    open_socket(charger)
    charger.refresh_from_db()
    return charger


def an_online(version="ocpp1.6", **columns):
    return online(a_charger(ocpp_version=version, registration_status="Accepted", **columns))


def made(api, status=201, **body):
    answer = api.post(LIMITS, {"amount": 6, "unit": "A", **body}, "application/json")
    assert answer.status_code == status, answer.json()
    return answer.json()


def the_command(charger):
    """The only command of `charger` that is not finished."""
    return Command.objects.exclude(state=FINISHED).get(charger=charger)


def answer(charger, status="Accepted", outcome="answered", now=None):
    """Answer the command of `charger`, with the effects of its answer; return the command."""
    command = the_command(charger)
    at = bulk_sql.clock()
    response = {"status": status} if outcome == "answered" else None
    Command.objects.filter(pk=command.pk).update(
        state=FINISHED, outcome=outcome, response=response, sent_at=at, finished_at=at
    )
    command.refresh_from_db()
    if effect := action_of(command.version, command.action).answered:
        effect(command)
    power_limits.keep(now=now)
    return command


def shown(api, limit):
    return api.get(f"{LIMITS}{limit['id']}/").json()


def states(api, limit):
    return [kept["state"] for kept in shown(api, limit)["chargers"]]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_limit_of_a_charger_is_installed_and_removed(api, version):
    charger = an_online(version)
    limit = made(api, charger_id=charger.identity, **EVENINGS)
    assert states(api, limit) == ["sent"]
    command = answer(charger)
    profile = command.payload["csChargingProfiles" if version == "ocpp1.6" else "chargingProfile"]
    assert (profile["chargingProfileKind"], profile["recurrencyKind"], profile["stackLevel"]) == (
        "Recurring",
        "Weekly",
        1,
    )
    assert states(api, limit) == ["installed"]
    power_limits.keep()
    assert Command.objects.count() == 1  # wanted = installed

    gone = api.delete(f"{LIMITS}{limit['id']}/").json()
    assert (gone["state"], [kept["state"] for kept in gone["chargers"]]) == ("removing", ["removing"])
    cleared = answer(charger)
    number = profile["chargingProfileId" if version == "ocpp1.6" else "id"]
    assert cleared.payload == {"id" if version == "ocpp1.6" else "chargingProfileId": number}
    assert (shown(api, limit)["state"], shown(api, limit)["chargers"]) == ("ended", [])
    assert not LimitedPlace.objects.exists()
    assert api.delete(f"{LIMITS}{limit['id']}/").status_code == 409


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_limit_of_a_connector_applies_to_its_sessions(api, version):
    charger = an_online(version)
    made(api, charger_id=charger.identity, evse_id=2)
    payload = the_command(charger).payload
    profile = payload.get("csChargingProfiles") or payload["chargingProfile"]
    assert payload.get("connectorId", payload.get("evseId")) == 2
    assert (profile["chargingProfilePurpose"], profile["chargingProfileKind"]) == ("TxDefaultProfile", "Relative")


@pytest.mark.django_db(transaction=True)
def test_a_limit_of_a_site_is_divided_among_its_chargers(api):
    site = Site.objects.create(name="Depot")
    first, second = an_online(site=site), an_online("ocpp2.0.1", site=site)
    limit = made(api, site="Depot", amount=50)
    assert [kept["amount"] for kept in shown(api, limit)["chargers"]] == [25, 25]
    answer(first)
    answer(second)
    assert states(api, limit) == ["installed"] * 2
    third = an_online(site=site)
    power_limits.keep()
    for charger in (first, second, third):
        payload = answer(charger).payload
        schedule = (payload.get("csChargingProfiles") or payload["chargingProfile"])["chargingSchedule"]
        schedule = schedule if isinstance(schedule, dict) else schedule[0]
        assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.6}]
    Charger.objects.filter(pk=third.pk).update(site=None)
    power_limits.keep()
    assert the_command(third).action == "ClearChargingProfile"


@pytest.mark.django_db(transaction=True)
def test_a_charger_that_is_offline_gets_its_limit_when_it_comes_back(api):
    charger = a_charger(ocpp_version="ocpp1.6", registration_status="Accepted")
    limit = made(api, charger_id=charger.identity)
    assert states(api, limit) == ["waiting"]
    assert not Command.objects.exists()
    online(charger)
    power_limits.keep()
    answer(charger)
    assert states(api, limit) == ["installed"]
    Charger.objects.filter(pk=charger.pk).update(disconnected_at=bulk_sql.clock())
    assert api.delete(f"{LIMITS}{limit['id']}/").json()["state"] == "removing"
    online(charger)
    power_limits.keep()
    answer(charger)
    assert shown(api, limit)["state"] == "ended"


@pytest.mark.django_db(transaction=True)
def test_a_limit_that_was_never_sent_ends_at_once(api):
    charger = a_charger()
    limit = made(api, charger_id=charger.identity)
    assert api.delete(f"{LIMITS}{limit['id']}/").json()["state"] == "ended"


@pytest.mark.django_db(transaction=True)
def test_a_charger_that_boots_or_loses_its_profile_gets_it_again(api):
    charger = an_online()
    limit = made(api, charger_id=charger.identity)
    first = answer(charger)
    Charger.objects.filter(pk=charger.pk).update(last_boot_at=bulk_sql.clock())
    power_limits.keep()
    again = answer(charger)
    assert again.payload["csChargingProfiles"] == first.payload["csChargingProfiles"]
    InstalledProfile.objects.all().delete()  # as after a ClearChargingProfile of an operator
    power_limits.keep()
    answer(charger)
    assert states(api, limit) == ["installed"]
    assert Command.objects.count() == 3


def begin_of(command):
    begin = command.payload["csChargingProfiles"]["chargingSchedule"]["startSchedule"]
    return datetime.fromisoformat(begin)


@pytest.mark.django_db(transaction=True)
def test_a_change_of_the_utc_offset_sends_the_profile_again():
    site = Site.objects.create(name="Depot", time_zone="Europe/Berlin")
    charger, always = an_online(site=site), an_online(site=site)
    PowerLimit.objects.create(amount=6, charger=charger, weekdays=[1], from_time=time(18), until_time=time(22))
    PowerLimit.objects.create(amount=6, charger=always)
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)  # when summer time ends
    before, after = change - timedelta(days=3), change + timedelta(seconds=1)
    assert power_limits.keep(now=before) == 2
    answer(always, now=before)
    first = begin_of(answer(charger, now=before))
    assert first.hour == 16
    assert power_limits.keep(now=change - timedelta(seconds=1)) == 0
    assert power_limits.keep(now=after) == 1
    again = begin_of(answer(charger, now=after))
    assert again - first == timedelta(hours=1)
    assert power_limits.keep(now=after + timedelta(days=100)) == 0


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_shown_and_repeated_later(api):
    charger = an_online()
    limit = made(api, charger_id=charger.identity)
    answer(charger, "Rejected")
    (kept,) = shown(api, limit)["chargers"]
    assert (kept["state"], kept["reason"]) == ("refused", "The charger answered Rejected.")
    assert Command.objects.count() == 1
    LimitedPlace.objects.update(again_at=bulk_sql.clock())
    power_limits.keep()
    answer(charger)
    assert states(api, limit) == ["installed"]


@pytest.mark.django_db(transaction=True)
def test_no_answer_leaves_open_what_the_charger_has(api):
    charger = an_online()
    limit = made(api, charger_id=charger.identity)
    answer(charger, outcome="timed_out")
    assert states(api, limit) == ["refused"]
    assert api.delete(f"{LIMITS}{limit['id']}/").json()["state"] == "removing"
    answer(charger, "Unknown")
    assert shown(api, limit)["state"] == "ended"


def has(charger, **keys):
    for key, value in keys.items():
        Variable.objects.create(charger=charger, variable=key, value=value)


@pytest.mark.django_db(transaction=True)
def test_a_charger_that_takes_too_few_periods_is_not_sent_the_profile(api):
    charger = an_online()
    has(charger, ChargingScheduleMaxPeriods="4")
    limit = made(api, charger_id=charger.identity, **EVENINGS)
    (kept,) = shown(api, limit)["chargers"]
    assert (kept["state"], "4 periods" in kept["reason"], kept["task_id"]) == ("refused", True, None)


@pytest.mark.django_db(transaction=True)
def test_the_unit_and_the_stack_level_are_those_that_the_charger_takes(api):
    charger = an_online()
    has(charger, ChargingScheduleAllowedChargingRateUnit="Power", ChargeProfileMaxStackLevel="0")
    made(api, charger_id=charger.identity)
    profile = the_command(charger).payload["csChargingProfiles"]
    schedule = profile["chargingSchedule"]
    assert (profile["stackLevel"], schedule["chargingRateUnit"]) == (0, "W")
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 4140}]


@pytest.mark.django_db(transaction=True)
def test_several_limits_of_a_place_are_one_profile(api):
    charger = an_online("ocpp2.0.1")
    first = made(api, charger_id=charger.identity, amount=16)
    answer(charger)
    second = made(api, charger_id=charger.identity, **EVENINGS)
    sent = answer(charger).payload["chargingProfile"]
    assert {period["limit"] for period in sent["chargingSchedule"][0]["chargingSchedulePeriod"]} == {6, 16}
    assert InstalledProfile.objects.count() == 1
    api.delete(f"{LIMITS}{second['id']}/")
    answer(charger)
    assert shown(api, second)["state"] == "ended"
    assert states(api, first) == ["installed"]


# --- REST --------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"charger_id": "A", "site": "Depot"}, None),
        ({"site": "nowhere"}, "site"),
        ({"site": "Depot", "evse_id": 1}, "evse_id"),
        ({"charger_id": "A", "amount": -1}, "amount"),
        ({"charger_id": "A", "unit": "kW"}, "unit"),
        ({"charger_id": "A", "weekdays": []}, "weekdays"),
        ({"charger_id": "A", "weekdays": [8]}, "weekdays.0"),
        ({"charger_id": "A", "from_time": "18:00"}, "until_time"),
        ({"charger_id": "A", "from_time": "18:00", "until_time": "18:00"}, "until_time"),
        ({"charger_id": "A", "colour": "red"}, "colour"),
    ],
)
def test_an_invalid_limit_is_refused(api, body, field):
    a_charger("A")
    Site.objects.create(name="Depot")
    refused = made(api, 400, **body)
    assert field is None or list(refused["fields"]) == [field]
    assert not PowerLimit.objects.exists()


def operator(client, site, role="Operators"):
    user = User.objects.create_user(an_id())
    user.groups.add(Group.objects.get(name=role))
    site.users.add(user)
    client.force_login(user)
    return client


@pytest.mark.django_db(transaction=True)
def test_a_user_sees_and_makes_limits_of_the_sites_and_chargers_within_reach(client):
    roles.make(None, "default")
    site, other = Site.objects.create(name="Depot"), Site.objects.create(name="Other")
    own, foreign = a_charger("A", site=site), a_charger("B", site=other)
    for place in ({"site": site}, {"site": other}, {"charger": own}, {"charger": foreign}):
        PowerLimit.objects.create(amount=6, **place)
    client = operator(client, site)
    listed = client.get(LIMITS).json()["results"]
    assert [(row["site"], row["charger_id"]) for row in listed] == [(None, "A"), (site.pk, None)]
    hidden = PowerLimit.objects.get(site=other)
    assert client.get(f"{LIMITS}{hidden.pk}/").status_code == 404
    assert client.delete(f"{LIMITS}{hidden.pk}/").status_code == 404
    assert client.post(LIMITS, {"site": "Other", "amount": 6, "unit": "A"}, "application/json").status_code == 400
    refused = client.post(LIMITS, {"charger_id": "B", "amount": 6, "unit": "A"}, "application/json")
    assert refused.status_code == 404
    assert client.post(LIMITS, {"site": "Depot", "amount": 6, "unit": "A"}, "application/json").status_code == 201
    viewer = operator(client, site, "Viewers")
    assert viewer.get(LIMITS).status_code == 200
    assert viewer.post(LIMITS, {"site": "Depot", "amount": 6, "unit": "A"}, "application/json").status_code == 403


@pytest.mark.django_db
def test_limits_are_filtered_by_site_charger_and_state(api):
    site = Site.objects.create(name="Depot")
    charger = a_charger("A", site=site)
    PowerLimit.objects.create(amount=1, site=site)
    PowerLimit.objects.create(amount=2, charger=charger, removed_at=SUMMER)
    PowerLimit.objects.create(amount=3, charger=a_charger("B"), removed_at=SUMMER, ended_at=SUMMER)

    def amounts(query):
        return [row["amount"] for row in api.get(LIMITS + query).json()["results"]]

    assert amounts("?site=Depot") == [2, 1]
    assert amounts("?charger_id=A") == [2]
    assert (amounts("?state=active"), amounts("?state=removing"), amounts("?state=ended")) == ([1], [2], [3])


@pytest.mark.django_db(transaction=True)
def test_a_round_without_work_takes_few_queries(api, django_assert_max_num_queries):
    site = Site.objects.create(name="Depot")
    for _ in range(5):
        an_online(site=site)
    made(api, site="Depot", amount=50)
    for charger in Charger.objects.all():
        answer(charger)
    with django_assert_max_num_queries(4):
        assert power_limits.keep() == 0
    with django_assert_max_num_queries(8):
        api.get(f"{LIMITS}{PowerLimit.objects.get().pk}/")
    assert connection.in_atomic_block is False


# --- at the wire -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_simulated_charger_keeps_a_limit_over_a_reboot_until_it_is_removed(live, version):
    charger_id = an_id()
    with live.simulated(charger_id, "--pause", "600", "--ocpp", version):
        until_connected(live, charger_id)
        body = {"charger_id": charger_id, "amount": 6, "unit": "A", **EVENINGS}
        path = f"{LIMITS}{live.post(LIMITS, body)['id']}/"

        def kept():
            return live.get(path)["chargers"][0]

        first = eventually(lambda: kept() if kept()["state"] == "installed" else None, 30)
        reset = {"type": "Hard"} if version == "1.6" else {"type": "Immediate"}
        live.finished(live.ask(charger_id, "Reset", reset))
        eventually(lambda: kept()["task_id"] != first["task_id"] and kept()["state"] == "installed", 60)
        assert live.request("DELETE", path)[0] == 200
        eventually(lambda: live.get(path)["state"] == "ended", 30)
    tasks = live.get(f"/api/ocpp/commands/?charger_id={charger_id}")["results"]
    sent = [task["action"] for task in tasks if task["action"] in ("SetChargingProfile", "ClearChargingProfile")]
    assert sent == ["ClearChargingProfile", "SetChargingProfile", "SetChargingProfile"]
