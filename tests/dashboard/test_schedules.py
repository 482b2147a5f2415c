"""The charging profiles and the composite schedule on the page of a charger."""

from datetime import UTC, datetime, timedelta

import pytest

from commands.services import composite_schedules
from dashboard import schedules
from tests.support.builders import a_charger, a_command
from tests.support.charging201 import NOW, a_profile, a_station, install
from tests.support.dashboard import page_of

pytestmark = pytest.mark.django_db
SCHEDULE = {
    "evseId": 1,
    "duration": 600,
    "scheduleStart": NOW,
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16}, {"startPeriod": 300, "limit": 8}],
}


def answered(charger, schedule=SCHEDULE, **payload):
    response = {"status": "Accepted", "schedule": schedule}
    columns = {"outcome": "answered", "state": "finished", "finished_at": datetime.now(UTC), "response": response}
    return a_command(charger, "GetCompositeSchedule", {"evseId": 1, "duration": 600, **payload}, **columns)


def test_profiles_and_the_curve_are_shown(api):
    charger = a_station()
    install(charger, 1, a_profile(id=1))
    answered(charger)
    page = api.get(page_of(charger)).content.decode()
    assert "Charging profiles" in page and "TxDefaultProfile" in page
    assert (
        "Composite schedule of EVSE 1" in page
        and '<polyline points="0.0,0.0 300.0,0.0 300.0,60.0 600.0,60.0"/>' in page
    )


def test_a_charger_without_profiles_has_no_such_section(api):
    assert "Charging profiles" not in api.get(page_of(a_charger())).content.decode()


def test_the_latest_schedule_of_an_evse_is_returned(api):
    charger = a_station()
    task = answered(charger)
    answered(charger, SCHEDULE | {"evseId": 2})
    path = f"/api/ocpp/chargers/{charger.identity}/composite-schedule/"
    assert api.get(path).json()["evse_id"] == 2
    shown = api.get(f"{path}?evse_id=1").json()
    assert (shown["task_id"], shown["unit"]) == (task.task_id, "A")
    assert [point["limit"] for point in shown["points"]] == [16, 8]
    assert api.get(f"{path}?evse_id=3").status_code == 404


def test_the_schedule_of_a_charger_of_1_6_is_read_too():
    charger = a_charger()
    schedule = {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7000}]}
    answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": NOW, "chargingSchedule": schedule}
    columns = {"outcome": "answered", "state": "finished", "response": answer}
    a_command(charger, "GetCompositeSchedule", {"connectorId": 1, "duration": 60}, **columns)
    found = composite_schedules.latest(charger)
    assert (found.evse_id, found.unit, found.points[0].limit) == (1, "W", 7000)
    assert found.ends_at - found.begins_at == timedelta(seconds=60)


@pytest.mark.parametrize("limit", [0, 1e300])
def test_a_curve_of_any_limits_stays_in_its_frame(limit):
    periods = [{"startPeriod": start, "limit": limit} for start in (-5, 0, 2**40)]
    command = answered(a_station(), SCHEDULE | {"chargingSchedulePeriod": periods, "duration": 2**50})
    points = schedules.curve(composite_schedules.latest(command.charger)).split(" ")
    assert all(
        0 <= float(x) <= schedules.WIDTH and 0 <= float(y) <= schedules.HEIGHT
        for x, y in (p.split(",") for p in points)
    )
