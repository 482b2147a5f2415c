"""Odd simulated chargers against the running product: it stores what can be understood, and shows the finding."""

import asyncio

import pytest

from tests.support.beside import web_beside
from tests.support.live import an_id, eventually, until_connected
from tests.support.wire import ShownCharger
from tools.simulator.charger import Options, SimulatedCharger
from tools.simulator.quirks import QUIRKS
from tools.simulator.vendors import VENDORS

SAMPLES = 3
QUICK = {"pause": 0.0, "sample_interval": 0.05, "samples": SAMPLES, "power": 9e6, "sessions": 1, "fault_seconds": 0.0}
SAMPLE = "meterValue.sampledValue"


@pytest.fixture(scope="module")
def tag(live):
    status, made, _ = live.request("POST", "/api/ocpp/id-tags/", {"id_tag": f"ODD{an_id()[3:]}"})
    assert status == 201, made
    return made["id_tag"]


def after_a_session(live, tag, **options):
    """A simulated charger with `options`, as the API shows it after one short session."""
    charger_id = an_id()
    options = Options(**{"url": live.stack.ws_url, "id_tag": tag} | QUICK | options)
    asyncio.run(asyncio.wait_for(SimulatedCharger(charger_id, options).run(), 60))
    return ShownCharger(live, charger_id)


def energies(charger, transaction_id):
    return [row for row in charger.readings(transaction_id) if row["measurand"].startswith("Energy")]


# --- quirks ----------------------------------------------------------------------------------

# quirk: (the findings that it must cause, the source of the transaction's energy)
FINDINGS = {
    "accepts-only": ([], "stop"),
    "no-stop-meter": ([("StopTransaction", "meterStop", "missing")], "readings"),
    "register-back": ([], "readings"),
    "meter-overflow": ([("StopTransaction", "meterStop", "out_of_range")], "readings"),
    "numbers-as-texts": (
        [
            ("StartTransaction", "connectorId", "wrong_type"),
            ("StartTransaction", "meterStart", "wrong_type"),
            ("StopTransaction", "transactionId", "wrong_type"),
            ("MeterValues", f"{SAMPLE}.value", "wrong_type"),
        ],
        "stop",
    ),
    "too-long-texts": (
        [
            ("BootNotification", "chargePointVendor", "too_long"),
            ("BootNotification", "chargePointSerialNumber", "too_long"),
            ("StatusNotification", "info", "too_long"),
        ],
        "stop",
    ),
    "wrong-clock": ([(f"{action}Transaction", "timestamp", "clock") for action in ("Start", "Stop")], "stop"),
    "no-timestamp": ([(f"{action}Transaction", "timestamp", "missing") for action in ("Start", "Stop")], "stop"),
    "duplicate-start": ([], "stop"),
    "no-transaction-id": ([], "stop"),
    "unknown-fields": (
        [
            ("BootNotification", "wifiSignal", "unknown_field"),
            ("StopTransaction", "connectorId", "unknown_field"),
            ("StopTransaction", "disconnectReason", "unknown_field"),
        ],
        "stop",
    ),
    "null-members": (
        [("BootNotification", "iccid", "null"), ("StartTransaction", "reservationId", "null")],
        "stop",
    ),
    "own-words": (
        [("StopTransaction", "reason", "unknown_value"), ("StatusNotification", "errorCode", "unknown_value")],
        "stop",
    ),
    "object-for-list": ([("MeterValues", "meterValue", "wrong_type")], "stop"),
    "kwh": ([], "stop"),
    "comma-decimals": ([("MeterValues", f"{SAMPLE}.value", "not_a_number")], "stop"),
    "control-characters": ([("StartTransaction", "idTag", "unreadable")], "stop"),
}
ORPHANS = {"stop-zero": 0, "stop-minus-one": -1}
OF_CAMPAIGNS = {"installation-fails"}  # see tests/dashboard/test_campaigns.py


def test_every_quirk_is_tested_here():
    assert FINDINGS.keys() | ORPHANS.keys() | OF_CAMPAIGNS == QUIRKS.keys()


@pytest.mark.parametrize("quirk", FINDINGS)
def test_a_session_with_a_quirk_is_stored_with_its_energy_and_the_finding(live, tag, quirk):
    findings, source = FINDINGS[quirk]
    charger = after_a_session(live, tag, quirks=(quirk,))
    listed = charger.transaction()
    session = charger.transaction(listed["transaction_id"])
    assert (session["status"], session["id_tag"], session["energy_source"]) == ("Completed", tag, source)
    registers = energies(charger, session["transaction_id"])
    assert len(registers) == SAMPLES and session["energy_wh"] > 100
    assert all(charger.found(*finding) for finding in findings)
    assert findings or not charger.findings


@pytest.mark.parametrize("quirk", ORPHANS)
def test_a_stop_that_names_no_transaction_is_an_orphan_stop(live, tag, quirk):
    charger = after_a_session(live, tag, quirks=(quirk,))
    session = charger.transaction()
    (orphan,) = charger.orphans
    assert (session["status"], orphan["payload"]["transactionId"]) == ("Ongoing", ORPHANS[quirk])
    assert orphan["candidates"] == [session["transaction_id"]]


def test_an_error_code_of_its_own_is_shown_as_it_is(live, tag):
    charger = after_a_session(live, tag, quirks=("own-words",))
    assert {connector["error_code"] for connector in charger.shown["connectors"]} == {"Error"}


@pytest.mark.parametrize("quirk", ["kwh", "comma-decimals", "object-for-list", "numbers-as-texts"])
def test_the_energy_is_that_of_odd_readings_where_the_stop_has_no_meter(live, tag, quirk):
    session = after_a_session(live, tag, quirks=(quirk, "no-stop-meter")).transaction()
    assert (session["status"], session["energy_source"]) == ("Completed", "readings")
    assert 100 < session["energy_wh"] < 400


# --- vendors, faults, tags -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "finding"),
    [
        ("demo", None),
        ("alfen", ("MeterValues", f"{SAMPLE}.measurand", "unknown_value")),
        ("schneider", ("BootNotification", "chargePointSerialNumber", "too_long")),
        ("dc", None),
    ],
)
def test_a_charger_of_a_vendor_is_shown_as_it_presents_itself(live, tag, vendor, finding):
    charger, profile = after_a_session(live, tag, vendor=vendor), VENDORS[vendor]
    shown, session = charger.shown, charger.transaction()
    assert (shown["vendor"], shown["model"]) == (profile.boot["chargePointVendor"], profile.boot["chargePointModel"])
    assert shown["serial_number"] == profile.boot_notification(charger.identity)["chargePointSerialNumber"]
    assert (session["status"], session["energy_source"]) == ("Completed", "stop") and session["energy_wh"] > 100
    sent = profile.sampled(0, 0, 50)
    assert len(charger.readings(session["transaction_id"])) == SAMPLES * len(sent)
    assert charger.found(*finding) if finding else not charger.findings


def test_each_vendor_is_tested_above():
    (marker,) = test_a_charger_of_a_vendor_is_shown_as_it_presents_itself.pytestmark
    assert {vendor for vendor, _ in marker.args[1]} == VENDORS.keys()


def test_the_keys_of_a_vendor_are_read(live, tag):
    with live.simulated(charger_id := an_id(), "--vendor", "alfen", "--pause", "600"):
        until_connected(live, charger_id)
        task = live.finished(live.ask(charger_id, "GetConfiguration", {"key": ["MaxStationCurrent", "Nonsense"]}))
    assert task["response"]["configurationKey"] == [{"key": "MaxStationCurrent", "readonly": False, "value": "32"}]
    assert task["response"]["unknownKey"] == ["Nonsense"]


def test_a_fault_is_shown_with_the_vendors_code_and_ends(live, tag):
    charger = after_a_session(live, tag, fault="GroundFailure", vendor="dc")
    path = f"/api/ocpp/events/?charger_id={charger.identity}&kind=connector.status"
    reported = eventually(lambda: [e["body"] for e in live.get(path)["results"] if e["body"]["status"] == "Faulted"])
    assert reported[0]["error_code"] == "GroundFailure"
    assert {c["status"] for c in charger.shown["connectors"]} == {"Available"}
    assert {c["error_code"] for c in charger.shown["connectors"]} == {"NoError"}


def test_a_tag_that_nobody_knows_starts_no_session_and_is_listed(live, tag):
    charger = after_a_session(live, tag, unknown_tag=True)
    assert charger.transactions == []
    path = f"/api/ocpp/unknown-id-tags/?charger_id={charger.identity}"
    (listed,) = eventually(lambda: live.get(path)["results"])
    assert listed["id_tag"].startswith("UNKNOWN-")


# --- the command -----------------------------------------------------------------------------


def test_a_charger_that_nobody_has_registered_says_how_it_is_refused_and_tries_again(live):
    with web_beside(live, "odd") as web:
        web_url = web.ws_url.removesuffix("/ws/ocpp")
        with live.simulated("--unknown-charger", "--url", web_url) as process:
            refusals = (line for line in process.stdout if "the connection was refused (404)" in line)
            first, second = next(refusals), next(refusals)
    assert "It connects again in 1 s" in first and "It connects again in 2 s" in second


def test_the_options_are_put_together(live, tag):
    arguments = ("--once", "--vendor", "schneider", "--quirk", "no-stop-meter", "--quirk", "unknown-fields")
    charger_id = an_id()
    with live.simulated(charger_id, *arguments, "--fault", "HighTemperature", "--id-tag", tag) as process:
        assert "Every charger had its session." in process.communicate(timeout=60)[0]
    charger = ShownCharger(live, charger_id)
    assert charger.shown["vendor"] == "Schneider Electric"
    assert charger.found("StopTransaction", "meterStop", "missing")
    assert charger.found("StopTransaction", "disconnectReason", "unknown_field")


@pytest.mark.parametrize(
    ("option", "values"),
    [("--quirk", QUIRKS), ("--vendor", VENDORS), ("--fault", ["GroundFailure", "WeakSignal"])],
)
def test_an_unknown_value_is_an_error_that_names_the_known_ones(live, option, values):
    with live.simulated("505", option, "nonsense") as process:
        text = process.communicate(timeout=30)[0]
    assert process.returncode == 2 and "invalid choice: 'nonsense'" in text
    assert all(value in text for value in values)


def test_the_help_lists_what_there_is(live):
    with live.simulated("--help") as process:
        text = process.communicate(timeout=30)[0]
    assert all(f"  {name} " in text and entry.help in text for name, entry in (QUIRKS | VENDORS).items())
    assert "GroundFailure" in text


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), "Name a charger, such as 505, or use --unknown-charger."),
        (("505", "--url", "http://127.0.0.1"), "--url must begin with ws:// or wss://"),
    ],
)
def test_a_command_that_cannot_connect_says_why(live, arguments, error):
    with live.simulated(*arguments) as process:
        assert error in process.communicate(timeout=30)[0]
