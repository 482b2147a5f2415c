"""The charging needs and schedules of vehicles, and the profiles that follow (OCPP 2.0.1 K15 to K17)."""

from datetime import timedelta

import pytest

from chargers.models import InstalledProfile
from chargers.services.audit import SYSTEM_ACTOR
from commands.actions.ocpp201 import vehicles
from commands.models import SENT, Command, EVChargingNeeds, EVChargingSchedule
from core.ocpp.timestamps import to_rfc3339
from tests.support.builders import a_charger, a_command, tell
from tests.support.charging201 import BEGIN, NOW, a_profile, a_schedule, a_session, a_station, install

pytestmark = pytest.mark.django_db(transaction=True)
TX_PROFILE, MAX_PROFILE = "TxProfile", "ChargingStationMaxProfile"
DEPARTURE = to_rfc3339(BEGIN + timedelta(hours=6))
AC = {"energyAmount": 20_000, "evMinCurrent": 6, "evMaxCurrent": 16, "evMaxVoltage": 400}


def ac(transfer="AC_three_phase", **parameters):
    return {"requestedEnergyTransfer": transfer, "acChargingParameters": AC | parameters}


def dc(**parameters):
    usual = {"evMaxCurrent": 125, "evMaxVoltage": 400}
    return {"requestedEnergyTransfer": "DC", "dcChargingParameters": usual | parameters}


def needs_of(charger, needs, evse=1, **members):
    return tell(charger, "NotifyEVChargingNeeds", evseId=evse, chargingNeeds=needs, **members)


def profile_for(session, needs, **members):
    """The profile that follows the needs of a vehicle, which are accepted."""
    Command.objects.all().update(state="finished")
    assert needs_of(session.charger, needs, **members)["status"] == "Accepted"
    command = EVChargingNeeds.objects.first().command
    assert (command.action, command.requested_by, command.payload["evseId"]) == (
        "SetChargingProfile",
        SYSTEM_ACTOR,
        1,
    )
    return command.payload["chargingProfile"]


def accept(session):
    """The charger accepts the profile that was sent last; what follows from it."""
    command = session.charger.commands.order_by("-pk").first()
    command.response = {"status": "Accepted"}
    return vehicles.was_set(command)


def periods(profile):
    (schedule,) = profile["chargingSchedule"]
    return [(period["startPeriod"], period["limit"]) for period in schedule["chargingSchedulePeriod"]]


# --- needs -------------------------------------------------------------------------------------


def test_a_vehicle_gets_what_it_can_take_if_nothing_limits_it():
    session = a_session()
    profile = profile_for(session, ac())
    assert (profile["chargingProfilePurpose"], profile["transactionId"]) == (TX_PROFILE, session.reference)
    assert (periods(profile), profile["chargingSchedule"][0]["chargingRateUnit"]) == ([(0, 16)], "A")
    row = EVChargingNeeds.objects.get()
    assert (row.energy_wh, row.max_rate, row.transaction, row.status) == (20_000, 16, session, "Accepted")


@pytest.mark.parametrize(
    ("needs", "limit"), [(dc(evMaxPower=40_000), 40_000), (dc(), 50_000), (dc(energyAmount=1), 50_000)]
)
def test_a_dc_vehicle_gets_power(needs, limit):
    profile = profile_for(a_session(), needs)
    assert (periods(profile), profile["chargingSchedule"][0]["chargingRateUnit"]) == ([(0, limit)], "W")


def test_the_unit_is_one_that_the_charger_supports():
    session = a_session(a_station(RateUnit="W"))
    profile = profile_for(session, ac("AC_single_phase"))
    assert periods(profile) == [(0, 16 * 230)]
    assert profile["chargingSchedule"][0]["chargingSchedulePeriod"][0]["numberPhases"] == 1


@pytest.mark.parametrize(
    ("evse", "profile", "limit"),
    [
        (0, a_profile(MAX_PROFILE, 10.0), 10),
        (1, a_profile(limit=9.0), 9),
        (0, a_profile(limit=8.0), 8),
        (2, a_profile(limit=7.0), 16),
        (1, a_profile(limit=32.0), 16),
        (1, a_profile(TX_PROFILE, limit=6.0), 6),
        (1, a_profile(limit=6.0, validTo=to_rfc3339(BEGIN - timedelta(hours=1))), 16),
    ],
)
def test_the_profiles_of_the_charger_limit_the_vehicle(evse, profile, limit):
    session = a_session()
    is_tx = profile["chargingProfilePurpose"] == TX_PROFILE
    install(session.charger, evse, profile | {"id": 5}, transaction=session.pk if is_tx else None)
    planned = profile_for(session, ac())
    assert periods(planned) == [(0, limit)]
    assert planned["stackLevel"] == (1 if is_tx else 0)


def limited(charger, evse, *periods, source="EMS", **members):
    """The charger reports a limit of another system."""
    sent = {"chargingLimit": {"chargingLimitSource": source}, "chargingSchedule": [a_schedule(*periods, **members)]}
    assert tell(charger, "NotifyChargingLimit", evseId=evse, **sent) == {}


@pytest.mark.parametrize(
    ("evse", "schedule", "expected"),
    [
        (0, {}, [(0, 9)]),
        (1, {"startSchedule": to_rfc3339(BEGIN - timedelta(hours=1))}, [(0, 9)]),
        (1, {"startSchedule": to_rfc3339(BEGIN - timedelta(hours=2)), "duration": 3600}, [(0, 16)]),
        (2, {}, [(0, 16)]),
    ],
)
def test_a_limit_of_another_system_limits_the_vehicle(evse, schedule, expected):
    session = a_session()
    limited(session.charger, evse, (0, 9.0), **schedule)
    limited(session.charger, evse, (0, 14.0), source="SO", **schedule)
    assert periods(profile_for(session, ac())) == expected


def test_the_profile_that_reports_a_limit_of_another_system_limits_the_vehicle():
    session = a_session()
    install(session.charger, 0, a_profile("ChargingStationExternalConstraints", 9.0, id=-1), source="EMS")
    assert periods(profile_for(session, ac())) == [(0, 9)]


def a_daily_profile(*steps):
    """A TxDefaultProfile that repeats every day: (hours from now, limit)."""
    schedule = a_schedule(*((3600 * hours, limit) for hours, limit in steps), startSchedule=NOW)
    return a_profile(kind="Recurring", recurrencyKind="Daily", id=5, chargingSchedule=[schedule])


def test_limits_that_change_with_time_are_sent_until_the_departure():
    session = a_session()
    install(session.charger, 1, a_daily_profile((0, 8.0), (2, 12.0), (4, 32.0)))
    profile = profile_for(session, ac() | {"departureTime": DEPARTURE})
    (schedule,) = profile["chargingSchedule"]
    assert [limit for _, limit in periods(profile)] == [8, 12, 16]
    assert 0 < schedule["duration"] <= 6 * 3600


@pytest.mark.parametrize("variables", [{}, {"PeriodsPerSchedule": "2"}])
def test_a_schedule_has_no_more_periods_than_the_vehicle_and_the_charger_take(variables):
    session = a_session(a_station(**variables))
    install(session.charger, 1, a_daily_profile((0, 8.0), (2, 12.0), (4, 10.0)))
    needs = ac() | {"departureTime": DEPARTURE}
    planned = profile_for(session, needs, maxScheduleTuples=3 if variables else 2)
    assert [limit for _, limit in periods(planned)] == [8, 10]


def test_new_needs_replace_the_profile():
    session = a_session()
    first = profile_for(session, ac())
    accept(session)
    second = profile_for(session, ac(evMaxCurrent=10))
    assert (second["id"], second["stackLevel"], periods(second)) == (first["id"], 0, [(0, 10)])


def test_needs_behind_other_commands_are_being_processed():
    session = a_session()
    a_command(session.charger)
    assert needs_of(session.charger, ac()) == {"status": "Processing"}
    assert EVChargingNeeds.objects.get().command


@pytest.mark.parametrize(
    ("variables", "evse", "needs", "reason"),
    [
        ({}, 2, ac(), "No transaction"),
        ({"Enabled": "false"}, 1, ac(), "disabled"),
        ({}, 1, {"requestedEnergyTransfer": "DC"}, "gives a limit"),
    ],
)
def test_needs_that_cannot_be_met_are_rejected_and_stored(variables, evse, needs, reason):
    session = a_session(a_station(**variables))
    answer = needs_of(session.charger, needs, evse)
    assert (answer["status"], reason in answer["statusInfo"]["additionalInfo"]) == ("Rejected", True)
    row = EVChargingNeeds.objects.get()
    assert (row.status, reason in row.reason, row.command) == ("Rejected", True, None)
    assert not Command.objects.exists()


# --- schedules of vehicles ---------------------------------------------------------------------


def drawn_up(charger, schedule, base=NOW):
    answer = tell(charger, "NotifyEVChargingSchedule", evseId=1, timeBase=base, chargingSchedule=schedule)
    return answer["status"]


@pytest.mark.parametrize(
    ("schedule", "status"),
    [
        (a_schedule((0, 6)), "Accepted"),
        (a_schedule((0, 7)), "Rejected"),
        (a_schedule((0, 6), (600, 7)), "Rejected"),
        (a_schedule((0, 7), (30, 6)), "Accepted"),  # shorter than clocks differ
        (a_schedule(*((n, 7 + n % 2) for n in range(0, 300, 20))), "Rejected"),
        (a_schedule((0, 6 * 690), unit="W"), "Accepted"),
        (a_schedule((0, 7 * 690), unit="W"), "Rejected"),
    ],
)
def test_a_schedule_of_a_vehicle_is_compared_with_the_profiles(schedule, status):
    session = a_session()
    install(session.charger, 1, a_profile(TX_PROFILE, 6.0, id=1), transaction=session.pk)
    assert drawn_up(session.charger, schedule) == status
    row = EVChargingSchedule.objects.get()
    assert (row.status, row.schedule, row.transaction) == (status, schedule, session)
    assert (row.command is None) == (status == "Accepted")


def test_a_profile_that_was_sent_but_is_not_yet_answered_counts():
    session = a_session()
    install(session.charger, 1, a_profile(TX_PROFILE, 16.0, id=1), transaction=session.pk)
    profile = a_profile(TX_PROFILE, 6.0, id=1, transactionId=session.reference)
    payload = {"evseId": 1, "chargingProfile": profile}
    a_command(session.charger, "SetChargingProfile", payload, state=SENT)
    assert drawn_up(session.charger, a_schedule((0, 10))) == "Rejected"


@pytest.mark.parametrize("base", ["nonsense", "1970-01-01T00:00:00Z", "9998-01-01T00:00:00Z"])
def test_a_schedule_with_a_wrong_time_counts_from_its_receipt(base):
    session = a_session()
    install(session.charger, 1, a_profile(TX_PROFILE, 6.0, id=1), transaction=session.pk)
    assert drawn_up(session.charger, a_schedule((0, 7)), base) == "Rejected"


def test_a_schedule_without_a_transaction_or_a_limit_is_accepted():
    assert drawn_up(a_charger(ocpp_version="ocpp2.0.1"), a_schedule((0, 7))) == "Accepted"
    assert drawn_up(a_session().charger, a_schedule((0, 7))) == "Accepted"


# --- renegotiation by the central system -------------------------------------------------------


def operator_sets(session, evse, profile):
    """The charger accepts a profile of an operator; what follows."""
    payload = {"evseId": evse, "chargingProfile": profile}
    command = a_command(session.charger, "SetChargingProfile", payload, requested_by="alice")
    command.response = {"status": "Accepted"}
    return vehicles.was_set(command)


@pytest.fixture
def negotiated():
    """A transaction whose vehicle may take 16 A."""
    session = a_session()
    profile_for(session, ac())
    assert accept(session) == []
    return session


def test_a_lower_limit_for_the_evse_is_passed_on_to_the_vehicle(negotiated):
    (follow_up,) = operator_sets(negotiated, 1, a_profile(limit=8.0, id=900))
    assert periods(follow_up.payload["chargingProfile"]) == [(0, 8)]
    own = InstalledProfile.objects.get(purpose=TX_PROFILE).charging_profile_id
    assert follow_up.payload["chargingProfile"]["id"] == own


@pytest.mark.parametrize(("evse", "profile"), [(1, a_profile(limit=20.0, id=900)), (2, a_profile(limit=8.0, id=900))])
def test_a_limit_that_does_not_concern_the_vehicle_changes_nothing(negotiated, evse, profile):
    assert operator_sets(negotiated, evse, profile) == []


def sent_profiles(session):
    commands = session.charger.commands.order_by("pk")
    return [periods(command.payload["chargingProfile"]) for command in commands]


def test_a_limit_of_another_system_is_passed_on_to_the_vehicle_until_its_release(negotiated):
    for _ in range(2):
        limited(negotiated.charger, 1, (0, 9.0))
    assert sent_profiles(negotiated) == [[(0, 16)], [(0, 9)]]
    assert accept(negotiated) == []
    tell(negotiated.charger, "ClearedChargingLimit", chargingLimitSource="EMS")
    assert sent_profiles(negotiated)[-1] == [(0, 16)]


def test_a_limit_of_another_system_while_the_first_profile_is_on_its_way_is_kept():
    session = a_session()
    profile_for(session, ac())
    limited(session.charger, 0, (0, 9.0))
    (follow_up,) = accept(session)
    assert periods(follow_up.payload["chargingProfile"]) == [(0, 9)]


def test_a_schedule_beyond_a_limit_of_another_system_is_rejected():
    session = a_session()
    limited(session.charger, 1, (0, 6.0))
    assert drawn_up(session.charger, a_schedule((0, 7))) == "Rejected"


def test_a_profile_of_an_operator_for_the_transaction_stays(negotiated):
    own = InstalledProfile.objects.get()
    profile = a_profile(TX_PROFILE, 6.0, id=own.charging_profile_id, transactionId=negotiated.reference)
    assert operator_sets(negotiated, 1, profile) == []
    again = profile_for(negotiated, ac())
    assert (periods(again), again["stackLevel"]) == ([(0, 6)], 1)
    assert again["id"] != own.charging_profile_id


def test_needs_and_schedules_are_listed(api):
    session = a_session()
    profile_for(session, ac())
    drawn_up(session.charger, a_schedule((0, 7)))
    (needs,) = api.get(f"/api/ocpp/charging-needs/?charger_id={session.charger.identity}").json()["results"]
    assert (needs["energy_transfer"], needs["parameters"]) == ("AC_three_phase", {"ac": AC})
    assert needs["task_id"] == Command.objects.get().task_id
    (schedule,) = api.get(f"/api/ocpp/charging-schedules/?transaction={session.pk}").json()["results"]
    assert (schedule["status"], schedule["task_id"]) == ("Accepted", None)
    assert api.get("/api/ocpp/charging-needs/?bogus=1").status_code == 400
