"""The fleet: order, filters, states, current power, and the energy of today."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from chargers.models import Charger
from core.ocpp.timestamps import day_bounds
from dashboard import fleet
from dashboard.models import FleetMinute
from tests.support.builders import a_charger, a_transaction, open_socket, tell
from tests.support.dashboard import charging, page_of, readings
from transactions.models import Transaction

pytestmark = pytest.mark.django_db


def test_chargers_that_need_attention_are_first_and_counted(api):
    free, faulted, gone, never = a_charger("free"), a_charger("faulted"), a_charger("gone"), a_charger("never")
    for charger in (free, faulted, gone):
        open_socket(charger)
    tell(faulted, "StatusNotification", connectorId=1, errorCode="GroundFailure", status="Faulted")
    gone.refresh_from_db()
    gone.disconnected_at = gone.connected_at.replace(year=2100)
    gone.save()
    shown = api.get("/")
    assert [tile["charger"] for tile in shown.context["tiles"]] == [faulted, gone, free, never]
    counts = shown.context["counts"]
    assert (counts["connected"], counts["faulted"], counts["offline"], counts["total"]) == (2, 1, 1, 4)


@pytest.mark.parametrize(
    ("query", "found"),
    [("search=acme 11", 1), ("search=nothing", 0), ("state=faulted", 0), (f"search={'acme ' * 500}", 2)],
)
def test_the_fleet_is_searched_and_filtered(api, query, found):
    open_socket(a_charger("left", vendor="ACME", model="11 kW"))
    open_socket(a_charger("right", vendor="ACME", model="22 kW"))
    assert len(api.get(f"/?{query}").context["tiles"]) == found


QUERIES = 13


def test_the_number_of_queries_does_not_depend_on_the_size_of_the_fleet(api, django_assert_num_queries):
    def shown(number):
        for _ in range(number):
            charger = a_charger()
            open_socket(charger)
            a_transaction(charger)
        return api.get("/")

    shown(1)
    with django_assert_num_queries(QUERIES):
        api.get("/")
    shown(5)
    with django_assert_num_queries(QUERIES):
        api.get("/")


def test_a_refresh_returns_only_the_changed_parts(api):
    charger = a_charger()
    for path in ("/", page_of(charger), "/commands/", "/transactions/"):
        live = api.get(path, headers={"X-Live": "1"}).content.decode()
        assert "<html" not in live
        assert "data-part" in live


def test_a_free_connector_has_no_power(api):
    session = a_transaction()
    open_socket(session.charger)
    fields = readings({"value": "7000", "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    assert api.get("/").context["power"] == 7000
    tell(session.charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Available")
    assert api.get("/").context["power"] == 0
    assert "Stop missing" in api.get(page_of(session.charger)).content.decode()


@pytest.mark.parametrize("status", ["SuspendedEV", "Finishing", "Faulted"])
def test_an_old_power_reading_is_not_current_power(api, status):
    session = charging(7000)
    assert api.get("/").context["power"] == 7000
    tell(session.charger, "StatusNotification", connectorId=1, errorCode="NoError", status=status)
    assert api.get("/").context["power"] == 0
    assert "7.0" not in api.get(page_of(session.charger)).content.decode()


def test_a_silent_or_offline_charger_does_not_count_as_charging(api):
    session = charging(7000)
    tell(session.charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    Charger.objects.update(last_seen=datetime.now(UTC) - fleet.SILENT)
    assert api.get("/").context["power"] == 0
    Charger.objects.update(last_seen=datetime.now(UTC), disconnected_at=datetime.now(UTC))
    pages = [api.get(path).content.decode() for path in (page_of(session.charger), f"/transactions/{session.pk}/")]
    assert api.get("/").context["power"] == 0
    assert "7.0" not in "".join(pages)
    assert "last known values" in pages[0]
    assert "is-gone" in pages[0]


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["Unavailable", "Unavailable"], "unavailable"),
        (["Preparing", "Unavailable"], "in use"),
        (["Preparing", "Available"], "available"),
        (["Finishing", "Charging"], "charging"),
        ([], "available"),
    ],
)
def test_a_charger_with_an_available_connector_is_available(api, statuses, state):
    charger = a_charger()
    open_socket(charger)
    for number, status in enumerate(statuses, 1):
        tell(charger, "StatusNotification", connectorId=number, errorCode="NoError", status=status)
    assert api.get("/").context["tiles"][0]["charger"].state_word == state


def test_the_fleet_of_a_minute_is_stored_once():
    session = a_transaction(meterStart=1000)
    open_socket(session.charger)
    fields = readings({"value": "1500"}, {"value": "7000", "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    fleet.note_minute()
    fleet.note_minute()
    minute = FleetMinute.objects.latest("at")
    assert FleetMinute.objects.count() <= 2
    assert (minute.connected, minute.power_w) == (1, 7000)


def test_the_chart_has_a_gap_for_missing_minutes(api):
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for minutes in (30, 29, 1):
        columns = {"connected": 1, "charging": 1, "faulted": 0, "power_w": 7000, "energy_today_wh": 0}
        FleetMinute.objects.create(at=now - timedelta(minutes=minutes), **columns)
    assert api.get("/curves/fleet.json").json()["power"] == [7.0, 7.0, None, 7.0]


def register(session, at, wh):
    """Report the energy register of a transaction at a time."""
    fields = [{"timestamp": at.isoformat(), "sampledValue": [{"value": str(wh)}]}]
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)


ZONES = ("UTC", "Europe/Berlin", "America/Denver")


def test_energy_of_today_excludes_energy_before_midnight():
    session = a_transaction(meterStart=1000, timestamp="2025-02-25T20:00:00Z")
    before = [{"timestamp": "2025-02-25T23:00:00Z", "sampledValue": [{"value": "4000"}]}]
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=before)
    after = [{"timestamp": "2025-02-26T01:00:00Z", "sampledValue": [{"value": "4500"}]}]
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=after)
    assert fleet.energy_today(Transaction.objects.get().start_time.replace(day=26, hour=12), UTC) == 500


@pytest.mark.parametrize("zone", ZONES)
def test_energy_of_today_restarts_at_midnight(zone):
    midnight, next_midnight = day_bounds(date(2025, 10, 26), ZoneInfo(zone))
    session = a_transaction(meterStart=1000, timestamp=(midnight - timedelta(hours=1)).isoformat())

    def charged(seconds_after):
        return fleet.energy_today(midnight + timedelta(seconds=seconds_after), ZoneInfo(zone))

    register(session, midnight - timedelta(minutes=1), 4000)
    assert (charged(-1), charged(0), charged(1)) == (3000, 0, 0)
    register(session, midnight + timedelta(minutes=1), 4500)
    assert charged(120) == 500
    assert fleet.energy_today(next_midnight - timedelta(seconds=1), ZoneInfo(zone)) == 500
    assert fleet.energy_today(next_midnight, ZoneInfo(zone)) == 0


def test_energy_of_today_is_zero_without_transactions_or_readings():
    assert fleet.energy_today(datetime(2025, 2, 26, 13, tzinfo=UTC), UTC) == 0
    a_transaction().close("bob")  # without a reading: its register is not known
    assert fleet.energy_today(datetime(2025, 2, 26, 13, tzinfo=UTC), UTC) == 0


@pytest.mark.parametrize("zone", ZONES)
def test_the_front_page_shows_the_energy_since_midnight(api, settings, zone):
    settings.TIME_ZONE_DISPLAY = zone
    midnight, _ = day_bounds(datetime.now(ZoneInfo(zone)).date(), ZoneInfo(zone))
    assert "today" not in api.get("/").content.decode()  # a fresh installation
    fleet.note_minute(midnight - timedelta(minutes=1))
    assert "today" not in api.get("/").content.decode()  # that minute has the energy of yesterday
    fleet.note_minute(midnight)
    page = api.get("/").content.decode()
    assert f"<b>0.00\N{NO-BREAK SPACE}kWh</b> today <small>({zone})</small>" in page
    assert "MWh" not in page
    a_transaction(meterStart=1000, timestamp=midnight.isoformat())
    register(Transaction.objects.get(), midnight, 1500)
    fleet.note_minute(midnight + timedelta(minutes=1))
    assert "<b>0.50\N{NO-BREAK SPACE}kWh</b> today" in api.get("/").content.decode()
