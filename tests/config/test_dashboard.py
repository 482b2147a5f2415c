"""The pages: who sees them, what they show and hide, what their forms ask for."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User

from chargers.models import Charger, ChargerGroup, ConfigurationKey
from commands.actions.ocpp16.table import ACTIONS
from commands.models import Batch, Command, Schedule
from core.ocpp.timestamps import day_bounds
from core.ocpp.versions import OCPP16
from dashboard import fleet
from dashboard.forms import fields_of, payload_of
from dashboard.models import FleetMinute
from dashboard.templatetags.dashboard import charger_url
from gateway import message_log
from tests.support.builders import NOON, a_charger, a_command, a_tag, a_transaction, open_socket, tell
from tests.support.live import eventually
from transactions.models import Transaction
from transactions.services import curves, export

pytestmark = pytest.mark.django_db
PAGES = ["/", "/transactions/", "/commands/", "/curves/fleet.json"]
HTML = {"HTTP_ACCEPT": "text/html"}


def a_user(client, *permissions, group_of=None):
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if group_of is not None:
        group = ChargerGroup.objects.create(name="site")
        group.chargers.set(group_of)
        group.users.add(user)
    client.force_login(user)
    return user


def page_of(charger):
    return charger_url("dashboard:charger", charger.charger_id)


def readings(*fields):
    return [{"timestamp": NOON, "sampledValue": list(fields)}]


# --- who sees what ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_without_a_login_every_page_leads_to_it(client, path):
    answer = client.get(path)
    assert answer.status_code == 302 and answer.headers["Location"] == f"/login/?next={path}"


@pytest.mark.parametrize("path", PAGES)
def test_without_the_permission_a_page_says_which(client, path):
    a_user(client)
    answer = client.get(path)
    assert answer.status_code == 403 and "view_" in answer.content.decode()


def test_chargers_of_others_are_not_there(client):
    mine, other = a_charger(), a_charger()
    session, command = a_transaction(other), a_command(other)
    a_user(client, "view_charger", "view_transaction", "view_command", group_of=[mine])
    fleet_page = client.get("/").content.decode()
    assert mine.charger_id in fleet_page and other.charger_id not in fleet_page
    hidden = [page_of(other), f"/transactions/{session.pk}/", f"/commands/{command.task_id}/"]
    hidden.append(f"/curves/transactions/{session.pk}.json")
    assert [client.get(path, **HTML).status_code for path in hidden] == [404] * 4
    assert other.charger_id not in client.get("/transactions/").content.decode()


def test_sessions_are_shown_to_who_may_see_them(client):
    session = a_transaction(idTag="TAG-1")
    user = a_user(client, "view_charger", group_of=[session.charger])
    assert f"/transactions/{session.pk}/" not in client.get(page_of(session.charger)).content.decode()
    assert "current power" not in client.get("/").content.decode()
    user.user_permissions.add(Permission.objects.get(codename="view_transaction"))
    assert f"/transactions/{session.pk}/" in client.get(page_of(session.charger)).content.decode()
    assert "current power" in client.get("/").content.decode()


def test_a_secret_among_configuration_keys_is_hidden(api):
    charger = a_charger()
    for key in ("WifiPassword", "HeartbeatInterval"):
        ConfigurationKey.objects.create(charger=charger, key=key, value=f"{key} 1234", readonly=False)
    page = api.get(page_of(charger)).content.decode()
    assert "HeartbeatInterval 1234" in page and "WifiPassword" in page and "WifiPassword 1234" not in page


def test_who_may_not_command_finds_no_form(client):
    charger = a_charger()
    a_user(client, "view_charger", "view_command", group_of=[charger])
    assert "Actions" not in client.get(page_of(charger)).content.decode()
    asked = client.post(charger_url("dashboard:ask", charger.charger_id, "ClearCache"))
    assert asked.status_code == 403 and not Command.objects.exists()


def test_what_is_not_there_is_a_page_for_people_and_json_for_programs(api):
    assert "text/html" in api.get("/chargers/nobody/", **HTML).headers["Content-Type"]
    assert api.get("/api/ocpp/nothing/", **HTML).json()["error"].startswith("Not found")
    assert "error" in api.get("/nothing").json()


def test_texts_of_chargers_are_escaped(api):
    charger = a_charger('<script>"&', vendor="<b>V</b>", description="<i>d</i>")
    tell(charger, "StatusNotification", connectorId=1, errorCode="OtherError", status="Faulted", info="<u>i</u>")
    for path in ("/", page_of(charger)):
        page = api.get(path).content.decode()
        assert "<script>" + '"' not in page and "<b>V" not in page and "<i>d" not in page and "<u>i" not in page


# --- what they show --------------------------------------------------------------------------


def test_what_needs_attention_comes_first_and_is_counted(api):
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
def test_the_fleet_is_searched_and_narrowed(api, query, found):
    open_socket(a_charger(vendor="ACME", model="11 kW"))
    open_socket(a_charger(vendor="ACME", model="22 kW"))
    assert len(api.get(f"/?{query}").context["tiles"]) == found


def test_the_fleet_costs_as_many_queries_however_large_it_is(api, django_assert_num_queries):
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


QUERIES = 11


def test_asked_again_a_page_sends_its_parts_alone(api):
    charger = a_charger()
    for path in ("/", page_of(charger), "/commands/", "/transactions/"):
        live = api.get(path, headers={"X-Live": "1"}).content.decode()
        assert "<html" not in live and "data-part" in live


def test_a_simulated_result_plainly_looks_so(api):
    made_up = {"simulated": True, "simulated_response": {"status": "Accepted"}}
    command = a_command(state="finished", outcome="timed_out", **made_up)
    page = api.get(f"/commands/{command.task_id}/").content.decode()
    assert "is-simulated" in page and "generated by this system" in page and "Response from charger" not in page
    assert "simulated" in api.get(page_of(command.charger)).content.decode()
    assert "simulated" in api.get("/commands/").content.decode()


def test_a_search_through_all_messages_is_of_the_last_day_or_says_what_to_narrow_it_by(api):
    page = api.get("/messages/?search=x")
    assert page.context["asked"]["since"] and not page.context["wrong"]
    assert "at most a day apart" in api.get("/messages/?search=x&since=2025-01-01").content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_way_to_older_messages_is_not_what_is_asked_for(api):
    charger, log = a_charger(), message_log.MessageLogWriter()
    for n in range(101):
        text = f'[2,"{n}","Heartbeat",{{}}]'
        log.record(
            message_log.LoggedFrame(charger.pk, 1e9 + n, "in", text, "call", str(n), "Heartbeat", False, True, False)
        )
    eventually(lambda: log.written == 101)
    page = api.get(f"/messages/?charger_id={charger}")
    assert "until=" in page.context["older"] and "until" not in page.context["asked"]


def test_a_flag_is_explained_in_words(api):
    session = a_transaction()
    session.close("alice")
    assert "closed it at" in api.get(f"/transactions/{session.pk}/").content.decode()
    assert "closed manually" in api.get("/transactions/").content.decode()


def test_a_session_is_drawn_from_its_readings(api):
    session = a_transaction()
    phases = [{"value": "1000", "measurand": "Power.Active.Import", "phase": p, "unit": "W"} for p in ("L1", "L2")]
    fields = readings({"value": "2.5", "unit": "kWh"}, {"value": "55", "measurand": "SoC"}, *phases)
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    curves = api.get(f"/curves/transactions/{session.pk}.json").json()
    assert (curves["power"], curves["energy"], curves["soc"]) == ([2.0], [1.5], [55.0])


def test_a_long_curve_keeps_each_of_its_measurands(monkeypatch):
    monkeypatch.setattr(curves, "MAX_POINTS", 2)
    session = a_transaction()
    power, energy = {"value": "7", "measurand": "Power.Active.Import", "unit": "kW"}, {"value": "2.5", "unit": "kWh"}
    for minute in range(6):
        fields = [{"timestamp": f"2025-02-26T13:0{minute}:00Z", "sampledValue": [energy if minute % 2 else power]}]
        tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    drawn = curves.of(session)
    assert (drawn["power"], drawn["energy"]) == ([7.0, 7.0], [1.5, 1.5])


def test_a_session_is_shown_however_many_came_after_it_elsewhere(api):
    session = a_transaction()
    for n in range(9):
        a_transaction(session.charger, connectorId=2, timestamp=f"2025-02-27T12:00:0{n}Z").close("bob")
    page = api.get(page_of(session.charger))
    assert page.context["plotted"] == [session] and "Closed manually" in page.content.decode()


def test_where_a_connector_is_free_no_power_flows(api):
    session = a_transaction()
    open_socket(session.charger)
    fields = readings({"value": "7000", "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    assert api.get("/").context["power"] == 7000
    tell(session.charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Available")
    assert api.get("/").context["power"] == 0
    assert "Stop missing" in api.get(page_of(session.charger)).content.decode()


@pytest.mark.parametrize("status", ["SuspendedEV", "Finishing", "Faulted"])
def test_what_a_charger_told_before_it_stood_still_is_no_power_now(api, status):
    session = charging(7000)
    assert api.get("/").context["power"] == 7000
    tell(session.charger, "StatusNotification", connectorId=1, errorCode="NoError", status=status)
    assert api.get("/").context["power"] == 0
    assert "7.0" not in api.get(page_of(session.charger)).content.decode()


def test_a_charger_that_is_silent_or_gone_is_not_believed_to_charge(api):
    session = charging(7000)
    tell(session.charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    Charger.objects.update(last_seen=datetime.now(UTC) - fleet.SILENT)
    assert api.get("/").context["power"] == 0
    Charger.objects.update(last_seen=datetime.now(UTC), disconnected_at=datetime.now(UTC))
    pages = [api.get(path).content.decode() for path in (page_of(session.charger), f"/transactions/{session.pk}/")]
    assert api.get("/").context["power"] == 0 and "7.0" not in "".join(pages)
    assert "last known values" in pages[0] and "is-gone" in pages[0]


def charging(power):
    """A transaction into which `power` W flow, of a charger with an open socket."""
    session = a_transaction()
    open_socket(session.charger)
    fields = readings({"value": str(power), "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    return session


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
def test_a_charger_is_available_where_a_connector_is(api, statuses, state):
    charger = a_charger()
    open_socket(charger)
    for number, status in enumerate(statuses, 1):
        tell(charger, "StatusNotification", connectorId=number, errorCode="NoError", status=status)
    assert api.get("/").context["tiles"][0]["charger"].state_word == state


def test_a_session_is_stopped_from_where_it_is_seen(api):
    session = charging(7000)
    for path in (page_of(session.charger), f"/transactions/{session.pk}/"):
        page = api.get(path).content.decode()
        assert f"/ask/RemoteStopTransaction/?transactionId={session.pk}" in page


def test_transactions_are_found_by_a_tag_however_it_is_written_and_by_what_is_in_doubt(api):
    charger = a_charger()
    superseded, _ = (a_transaction(charger, idTag="ABC", timestamp=f"2025-02-2{day}T12:00:00Z") for day in (6, 7))
    asked = ("id_tag=abc", "id_tag=X", "issue=superseded")
    found = [list(api.get(f"/transactions/?{query}").context["page"].object_list) for query in asked]
    assert [len(rows) for rows in found] == [2, 0, 1] and found[2] == [superseded]


def test_the_fleet_of_a_minute_is_noted_once():
    session = a_transaction(meterStart=1000)
    open_socket(session.charger)
    fields = readings({"value": "1500"}, {"value": "7000", "measurand": "Power.Active.Import", "unit": "W"})
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)
    fleet.note_minute()
    fleet.note_minute()
    minute = FleetMinute.objects.latest("at")
    assert FleetMinute.objects.count() <= 2 and (minute.connected, minute.power_w) == (1, 7000)


def test_where_no_minute_was_noted_the_curve_has_a_gap(api):
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for minutes in (30, 29, 1):
        columns = {"connected": 1, "charging": 1, "faulted": 0, "power_w": 7000, "energy_today_wh": 0}
        FleetMinute.objects.create(at=now - timedelta(minutes=minutes), **columns)
    assert api.get("/curves/fleet.json").json()["power"] == [7.0, 7.0, None, 7.0]


def test_energy_of_today_leaves_out_what_was_charged_before_midnight():
    session = a_transaction(meterStart=1000, timestamp="2025-02-25T20:00:00Z")
    before = [{"timestamp": "2025-02-25T23:00:00Z", "sampledValue": [{"value": "4000"}]}]
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=before)
    after = [{"timestamp": "2025-02-26T01:00:00Z", "sampledValue": [{"value": "4500"}]}]
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=after)
    assert fleet.energy_today(Transaction.objects.get().start_time.replace(day=26, hour=12), UTC) == 500


def register(session, at, wh):
    fields = [{"timestamp": at.isoformat(), "sampledValue": [{"value": str(wh)}]}]
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=fields)


ZONES = ("UTC", "Europe/Berlin", "America/Denver")


@pytest.mark.parametrize("zone", ZONES)
def test_energy_of_today_begins_again_at_midnight(zone):
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


def test_energy_of_today_is_nothing_where_nobody_has_charged_or_nothing_is_known():
    assert fleet.energy_today(datetime(2025, 2, 26, 13, tzinfo=UTC), UTC) == 0
    a_transaction().close("bob")  # without a reading: its register is not known
    assert fleet.energy_today(datetime(2025, 2, 26, 13, tzinfo=UTC), UTC) == 0


@pytest.mark.parametrize("zone", ZONES)
def test_the_front_page_shows_what_was_charged_since_midnight(api, settings, zone):
    settings.TIME_ZONE_DISPLAY = zone
    midnight, _ = day_bounds(datetime.now(ZoneInfo(zone)).date(), ZoneInfo(zone))
    assert "today" not in api.get("/").content.decode()  # a fresh installation
    fleet.note_minute(midnight - timedelta(minutes=1))
    assert "today" not in api.get("/").content.decode()  # that minute has the energy of yesterday
    fleet.note_minute(midnight)
    page = api.get("/").content.decode()
    assert f"<b>0.00\N{NO-BREAK SPACE}kWh</b> today <small>({zone})</small>" in page and "MWh" not in page
    a_transaction(meterStart=1000, timestamp=midnight.isoformat())
    register(Transaction.objects.get(), midnight, 1500)
    fleet.note_minute(midnight + timedelta(minutes=1))
    assert "<b>0.50\N{NO-BREAK SPACE}kWh</b> today" in api.get("/").content.decode()


# --- forms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_every_command_has_a_form_with_every_field_of_its_schema(api, action):
    page = api.get(charger_url("dashboard:ask", a_charger().charger_id, action)).content.decode()
    for name in OCPP16.schemas.requests[action].tree.get("properties", {}):
        assert f'name="{name}' in page or f">{name}" in page
    assert fields_of(OCPP16.schemas.requests[action]) == [] or "<fieldset" in page or "<label" in page


def test_a_form_becomes_a_payload_with_lists_and_numbers():
    schedule = "csChargingProfiles.chargingSchedule"
    fields = {"connectorId": "1", "csChargingProfiles.stackLevel": "0", "csChargingProfiles.validFrom": ""}
    fields |= {f"{schedule}.chargingSchedulePeriod.{n}.startPeriod": str(n * 60) for n in (0, 2)}
    fields |= {f"{schedule}.chargingSchedulePeriod.2.limit": "11.5"}
    periods = [{"startPeriod": 0}, {"startPeriod": 120, "limit": 11.5}]
    profile = {"stackLevel": 0, "chargingSchedule": {"chargingSchedulePeriod": periods}}
    assert payload_of(OCPP16.schemas.requests["SetChargingProfile"], fields) == {
        "connectorId": 1,
        "csChargingProfiles": profile,
    }


@pytest.mark.parametrize(
    ("written", "read"),
    [("11", 11), (" 11.5 ", 11.5), ("1e3", 1000.0), ("1_000", "1_000"), ("nan", "nan"), ("٣", "٣")],
)
def test_a_number_is_what_json_has_for_one(written, read):
    assert payload_of(OCPP16.schemas.requests["UnlockConnector"], {"connectorId": written}) == {"connectorId": read}


def test_texts_keep_the_line_ends_that_were_typed(api):
    path = charger_url("dashboard:ask", a_charger().charger_id, "InstallCertificate")
    api.post(path, {"certificateType": "ManufacturerRootCertificate", "certificate": "one\r\ntwo"})
    assert Command.objects.get().payload["certificate"] == "one\ntwo"


def test_a_key_left_empty_is_made_not_sent_empty(api):
    charger = a_charger()
    path = charger_url("dashboard:ask", charger.charger_id, "ChangeConfiguration")
    api.post(path, {"key": "AuthorizationKey", "value": ""})
    assert len(Command.objects.get().payload.opened()["value"]) == 40
    new_batch(api, "ChangeConfiguration", key="AuthorizationKey", value="")
    assert Batch.objects.get().payload == {"key": "AuthorizationKey", "value": ""}


def test_a_value_may_be_emptied_and_what_is_left_empty_is_not_sent():
    assert payload_of(OCPP16.schemas.requests["ChangeConfiguration"], {"key": "K", "value": ""}) == {
        "key": "K",
        "value": "",
    }
    assert payload_of(OCPP16.schemas.requests["Reset"], {"type": ""}) == {}


@pytest.mark.parametrize(
    ("action", "fields", "named"),
    [
        ("Reset", {}, "type"),
        ("UnlockConnector", {"connectorId": "one"}, "one"),
        ("Reset", {"written": "{"}, "not valid JSON"),
        ("Reset", {"written": "[]"}, "JSON object"),
        ("Reset", {"written": '{"type": NaN}'}, "NaN"),
    ],
)
def test_what_makes_no_sense_comes_back_with_what_is_wrong(api, action, fields, named):
    charger = a_charger()
    answer = api.post(charger_url("dashboard:ask", charger.charger_id, action), fields)
    assert answer.status_code == 400 and named in answer.content.decode() and not Command.objects.exists()


def test_a_charger_that_is_not_accepted_is_not_asked(api):
    charger = a_charger(boot_policy="Rejected")
    answer = api.post(charger_url("dashboard:ask", charger.charger_id, "ClearCache"))
    assert answer.status_code == 409 and "wrong" in answer.content.decode()


def test_too_many_commands_in_a_minute_are_refused(api, settings):
    settings.API_COMMANDS_PER_MINUTE = 1
    path = charger_url("dashboard:ask", a_charger().charger_id, "ClearCache")
    assert [api.post(path).status_code for _ in range(2)] == [302, 429]


def test_a_form_sends_what_is_asked(api):
    charger = a_charger("CP ü 505")
    answer = api.post(charger_url("dashboard:ask", charger.charger_id, "Reset"), {"type": "Hard"})
    command = Command.objects.get()
    assert answer.headers["Location"] == f"/commands/{command.task_id}/" and command.payload == {"type": "Hard"}
    assert (command.charger, command.requested_by) == (charger, "alice")


# --- export ----------------------------------------------------------------------------------


@async_to_sync
async def whole(answer):
    return b"".join([part async for part in answer.streaming_content])


def exported(api, query=""):
    return list(csv.DictReader(io.StringIO(whole(api.get(f"/transactions/export.csv?{query}")).decode())))


@pytest.mark.django_db(transaction=True)
def test_the_list_is_exported_as_it_is_narrowed(api):
    mine = a_transaction(idTag="=1+1")
    a_transaction()
    (row,) = exported(api, f"charger_id={mine.charger.charger_id}")
    assert (row["transaction_id"], row["id_tag"], row["meter_start"]) == (str(mine.pk), "'=1+1", "1000")
    assert len(exported(api)) == 2


def test_a_sheet_holds_the_same(api):
    a_transaction(idTag="=1+1")
    content = whole(api.get("/transactions/export.xlsx"))
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "=1+1" in sheet and "<f>" not in sheet


def test_a_process_makes_one_sheet_at_a_time(api):
    with export._making:
        answer = api.get("/transactions/export.xlsx")
    assert answer.status_code == 503 and b"take CSV" in answer.content and answer.headers["Retry-After"]


@pytest.mark.django_db(transaction=True)
def test_the_last_day_is_among_those_that_are_listed(api):
    a_transaction()
    day = Transaction.objects.get().start_time.date()
    listed = [len(exported(api, f"first_day={first}&last_day={day}")) for first in (day, day + timedelta(days=1))]
    assert listed == [1, 0] and exported(api, "last_day=9999-12-31")


def test_an_export_that_makes_no_sense_says_so(api):
    answer = api.get("/transactions/export.csv?started_after=yesterday")
    assert answer.status_code == 400 and "started_after" in answer.content.decode()


def test_the_admin_exports_and_draws_and_links(api):
    session = a_transaction(idTag="ABC")
    page = api.get(f"/admin/transactions/transaction/{session.pk}/change/").content.decode()
    assert f"/curves/transactions/{session.pk}.json" in page and "transactions of ABC" in page
    tag = api.get(f"/admin/transactions/idtag/{a_tag('ABC').pk}/change/").content.decode()
    assert "/admin/transactions/transaction/?q=ABC" in tag
    chosen = {"action": "export_xlsx", "_selected_action": session.pk}
    answer = api.post("/admin/transactions/transaction/", chosen)
    assert answer.headers["Content-Disposition"].endswith('.xlsx"')


# --- batches ---------------------------------------------------------------------------------


def new_batch(api, action="Reset", **fields):
    return api.post(f"/batches/new/{action}/", {"type": "Soft", "of_search": "CP-", **fields})


def test_a_batch_is_asked_of_the_chargers_that_a_form_chooses(api):
    chosen = [a_charger() for _ in range(3)]
    a_charger("another")
    answer = new_batch(api, spread_minutes="2")
    batch = Batch.objects.get()
    assert answer.headers["Location"] == f"/batches/{batch.pk}/" and batch.payload == {"type": "Soft"}
    assert {m.charger for m in batch.members.all()} == set(chosen) and batch.spread_seconds == 120
    assert chosen[0].charger_id in api.get(f"/batches/{batch.pk}/").content.decode()


def test_those_that_the_fleet_shows_are_asked(api):
    chosen = a_charger("CP 01 of two words", vendor="ACME")
    a_charger(vendor="other")
    page = api.get("/?search=acme").content.decode()
    assert "/batches/new/Reset/?search=acme" in page
    listed = api.get("/batches/new/Reset/?search=acme").context["values"]["chargers_listed"]
    new_batch(api, of_search="", chargers_listed=f"{listed}\r\n\r\n")
    assert [member.charger for member in Batch.objects.get().members.all()] == [chosen]


def test_every_charger_is_asked_only_by_whoever_says_so(api):
    a_charger("one"), a_charger("another")
    assert new_batch(api, of_search="").status_code == 400
    assert new_batch(api, of_search="one", everyone="on").status_code == 400
    new_batch(api, of_search="", everyone="on")
    assert Batch.objects.get().members.count() == 2


def test_a_batch_is_cancelled_from_its_page(api):
    a_charger()
    new_batch(api)
    batch = Batch.objects.get()
    assert api.post(f"/batches/{batch.pk}/cancel/").status_code == 302
    assert Batch.objects.get().cancelled_by == "alice"
    assert "Cancel unsent commands" not in api.get(f"/batches/{batch.pk}/").content.decode()


@pytest.mark.parametrize(
    ("when", "fields"),
    [("at", "2100-01-31T03:00:00Z"), ("every", "60"), ("crontab", "30 3 * * *")],
)
def test_a_batch_is_planned_for_later(api, when, fields):
    a_charger()
    new_batch(api, when=when, schedule_name="nightly", **{f"when_{when}": fields})
    schedule = Schedule.objects.get()
    assert schedule.next_run_at and not Batch.objects.exists()
    assert "nightly" in api.get("/batches/").content.decode()
    api.post(f"/schedules/{schedule.pk}/", {"do": "switch"})
    assert not Schedule.objects.get().is_enabled
    api.post(f"/schedules/{schedule.pk}/", {"do": "delete"})
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"of_search": "nobody"},
        {"chargers_listed": "nobody"},
        {"spread_minutes": "long"},
        {"spread_minutes": "nan"},
        {"spread_minutes": "-1"},
        {"answer_within": "soon"},
        {"type": "Gentle"},
        {"when": "crontab", "when_crontab": "never", "schedule_name": "x"},
        {"when": "at", "when_at": "2100-01-01T00:00:00Z", "schedule_name": ""},
        {"when": "some day"},
        {"when": "now", "when_at": "2100-01-01T00:00:00Z"},
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_in_words(api, wrong):
    a_charger()
    answer = new_batch(api, **wrong)
    assert answer.status_code == 400 and 'class="wrong"' in answer.content.decode()
    assert not Batch.objects.exists() and not Schedule.objects.exists()


def test_batches_of_others_are_not_there(client, api):
    a_charger()
    new_batch(api)
    batch = Batch.objects.get()
    a_user(client, "view_charger", "view_command", "add_command", group_of=[a_charger()])
    assert client.get(f"/batches/{batch.pk}/", **HTML).status_code == 404
    assert client.post(f"/batches/{batch.pk}/cancel/", **HTML).status_code == 404
    assert str(batch.pk) not in client.get("/batches/").content.decode()


def test_who_switches_a_schedule_does_not_become_its_owner(client, api):
    a_charger()
    new_batch(api, when="every", when_every="60", schedule_name="hourly")
    schedule = Schedule.objects.get()
    client.force_login(User.objects.create_superuser("carol"))
    client.post(f"/schedules/{schedule.pk}/", {"do": "switch"})
    schedule.refresh_from_db()
    assert (schedule.is_enabled, schedule.owner.username, schedule.requested_by) == (False, "alice", "alice")


def test_a_finished_command_is_asked_again_as_a_new_one(api):
    former = a_command(action="Reset", payload={"type": "Hard"}, state="finished", outcome="timed_out")
    api.post(f"/commands/{former.task_id}/again/")
    again = Command.objects.exclude(pk=former.pk).get()
    assert (again.action, again.payload, again.charger) == ("Reset", {"type": "Hard"}, former.charger)


def test_a_command_that_is_not_finished_is_not_asked_again(api):
    command = a_command()
    assert api.post(f"/commands/{command.task_id}/again/").status_code == 302
    assert Command.objects.count() == 1
