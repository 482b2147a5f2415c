"""`make screenshots`: take the pictures of docs/ from a simulated fleet. Needs Chromium."""

import json
import math
import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import requests

from tests.support.browser import EXECUTABLE, NONE, PHONE, WALL, launch, log_in, playwright
from tests.support.live import Live, exchange, free_port
from tools.stack.stack import LOCAL_DEFAULTS, PROJECT, Stack

FOLDER = PROJECT / "docs" / "screenshots"
NOW = datetime.now(UTC).replace(microsecond=0)
# Name: latitude, longitude.
SITES = {
    "North car park": (53.55, 9.99),
    "South car park": (48.14, 11.58),
    "Depot": (52.53, 13.38),
    "Harbour": (54.32, 10.14),
}
MODELS = (("Voltara", "Duo 22"), ("Ampere & Sons", "Column 11"), ("Wattwerk", "Fast 150"))
# State of connector 1 by the number of the charger; the others are available.
STATES = {
    3: "Charging",
    4: "Charging",
    7: "Charging",
    9: "Faulted",
    12: "Charging",
    17: "Finishing",
    21: "Unavailable",
}
DISCONNECTED = (14, 26)
CHARGERS = 30


def main():
    if EXECUTABLE is None:
        sys.exit(NONE)
    FOLDER.mkdir(exist_ok=True)
    settings = LOCAL_DEFAULTS | {name: str(free_port()) for name in ("PORT", "FLOWER_PORT")}
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        stack = Stack(folder, settings)
        try:
            stack.start(flower=False)
            live = Live(stack, stack.env["DATABASE_URL"])
            with ExitStack() as opened:
                print("Simulating a fleet.")
                add_sites(live)
                sockets = [opened.enter_context(a_charger(live, number)) for number in range(1, CHARGERS + 1)]
                take_pictures(live, paths(live, sockets))
        finally:
            stack.stop()


# --- simulated fleet -----------------------------------------------------------------


def add_sites(live):
    for name, (latitude, longitude) in SITES.items():
        body = {"name": name, "latitude": str(latitude), "longitude": str(longitude), "time_zone": "Europe/Berlin"}
        live.post("/api/ocpp/sites/", body | {"power_limit_w": 120_000})


@contextmanager
def a_charger(live, number):
    charger_id = f"CP-{number:03}"
    with live.socket(charger_id) as socket:
        vendor, model = MODELS[number % len(MODELS)]
        boot = {"chargePointVendor": vendor, "chargePointModel": model, "firmwareVersion": f"2.{number % 4}.1"}
        exchange(socket, "boot", "BootNotification", boot | {"chargePointSerialNumber": f"SN{number:06}"})
        place = {"site": list(SITES)[number % len(SITES)], "message_log": "all"}
        live.request("PATCH", f"/api/ocpp/chargers/{charger_id}/", place)
        state = STATES.get(number, "Available")
        for connector, status in ((1, state), (2, "Available" if number % 5 else "Preparing")):
            report = {"connectorId": connector, "status": status, "timestamp": at(number)}
            error = {"errorCode": "GroundFailure", "info": "RCD tripped"} if status == "Faulted" else {}
            exchange(socket, f"s{connector}", "StatusNotification", {"errorCode": "NoError"} | error | report)
        past_sessions(socket, number)
        if state == "Charging":
            charge(socket, number)
        if number in DISCONNECTED:
            socket.close()
        yield socket


def at(minutes):
    return (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def past_sessions(socket, number):
    """Send a session of each day of this month, of which some have no energy."""
    for day in range(1, NOW.day):
        wh = 4000 + 9000 * ((number * 7 + day * 5) % 11) if (number + day) % 13 else 0
        start = {"connectorId": 2, "idTag": f"DRIVER-{(number + day) % 40}", "meterStart": 0}
        began = NOW.replace(day=day, hour=6 + number % 12, minute=number)
        start["timestamp"] = began.isoformat()
        transaction_id = exchange(socket, f"p{day}", "StartTransaction", start)[2]["transactionId"]
        stop = {"transactionId": transaction_id, "meterStop": wh}
        stop["timestamp"] = (began + timedelta(minutes=20 + wh // 400)).isoformat()
        exchange(socket, f"q{day}", "StopTransaction", stop)


def charge(socket, number):
    """Send one hour of a transaction with decreasing power."""
    start = {"connectorId": 1, "idTag": f"DRIVER-{number}", "meterStart": 120_000 * number}
    transaction_id = exchange(socket, "t", "StartTransaction", start | {"timestamp": at(60)})[2]["transactionId"]
    energy, values = 120_000.0 * number, []
    for minute in range(60, -1, -1):
        power = 11_000 * min(1, (62 - minute) / 4) * (1 if minute > 20 else math.exp((minute - 20) / 18))
        energy += power / 60
        readings = {"Power.Active.Import": (power, "W"), "Energy.Active.Import.Register": (energy, "Wh")}
        sampled = [{"measurand": m, "value": f"{v:.0f}", "unit": unit} for m, (v, unit) in readings.items()]
        sampled.append({"measurand": "SoC", "value": str(86 - minute), "unit": "Percent"})
        values.append({"timestamp": at(minute), "sampledValue": sampled})
    payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": values}
    exchange(socket, "m", "MeterValues", payload, timeout=20)


def a_day(live):
    """Insert the charts of the fleet for the last 24 hours."""
    rows = []
    for minute in range(1440, 0, -1):
        moment = NOW.replace(second=0) - timedelta(minutes=minute)
        hour = moment.hour + moment.minute / 60
        power = 9000 + 52_000 * math.exp(-(((hour - 8.5) / 2) ** 2)) + 70_000 * math.exp(-(((hour - 18) / 2.5) ** 2))
        rows.append((moment, 26, round(power / 9000), 1, round(power + 2500 * math.sin(minute / 7))))
    energy, day = 0.0, None
    with psycopg.connect(live.database_url) as connection:
        for moment, connected, charging, faulted, power in rows:
            energy = 0.0 if moment.date() != day else energy + power / 60
            day = moment.date()
            connection.execute(
                "INSERT INTO dashboard_fleetminute (at, connected, charging, faulted, power_w, energy_today_wh) "
                "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [moment, connected, charging, faulted, power, round(energy)],
            )


def paths(live, sockets):
    """Return {name of the picture: path}, after commands with and without an answer."""
    a_day(live)
    answer(live, sockets[2], "GetConfiguration", {}, CONFIGURATION)
    answer(live, sockets[2], "ChangeAvailability", {"connectorId": 2, "type": "Operative"}, {"status": "Accepted"})
    silent = live.finished(live.ask("CP-003", "Reset", {"type": "Soft"}, timeout=1))
    batch = live.post("/api/ocpp/batches/", BATCH)
    for socket in sockets[4:7]:
        reply(socket, {"status": "Accepted"})
    live.stack.manage("Totals of reports", "rebuild_reports")
    session = live.get("/api/ocpp/transactions/?charger_id=CP-003")["transaction_logs"][0]["transaction_id"]
    return {
        "fleet": "/",
        "charger": "/chargers/CP-003/",
        "transaction": f"/transactions/{session}/",
        "simulated": f"/commands/{silent['task_id']}/",
        "batch": f"/batches/{batch['id']}/",
        "form": "/chargers/CP-003/submit/SetChargingProfile/",
        "sites": "/sites/",
        "incidents": "/incidents/",
        "report": "/reports/?group_by=day",
        "campaign": f"/campaigns/{a_campaign(live, sockets[9:13])}/",
    }


def a_campaign(live, sockets):
    """Return the id of a campaign: the canary is confirmed, one charger has failed, and two are under way."""
    files = {"file": ("column-2.4.0.bin", b"image")}
    image = requests.post(
        f"{live.url}/api/ocpp/firmware/", {"description": "Column", "version": "2.4.0"}, files=files, timeout=20
    ).json()
    body = {"firmware": image["id"], "name": "Column 2.4.0", "chargers": [f"CP-{n:03}" for n in range(10, 14)]}
    campaign = live.post("/api/ocpp/campaigns/", body | {"max_failures": 3})
    live.post(f"/api/ocpp/campaigns/{campaign['id']}/start/")
    install(sockets[0], "Installed")
    for socket, status in zip(sockets[1:], ("InstallationFailed", "Downloading", "Downloading"), strict=True):
        install(socket, status)
    return campaign["id"]


def install(socket, status):
    """Answer the UpdateFirmware of a charger, and report `status`."""
    reply(socket, {}, timeout=60)
    exchange(socket, "f", "FirmwareStatusNotification", {"status": status})


BATCH = {"action": "Reset", "payload": {"type": "Soft"}, "timeout": 5}
BATCH |= {"chargers": ["CP-005", "CP-006", "CP-007", "CP-008", "CP-009", "CP-014"]}
KEYS = {"HeartbeatInterval": "300", "MeterValueSampleInterval": "60", "NumberOfConnectors": "2"}
CONFIGURATION = {"configurationKey": [{"key": k, "value": v, "readonly": False} for k, v in KEYS.items()]}


def answer(live, socket, action, payload, result):
    task = live.ask("CP-003", action, payload)
    reply(socket, result)
    return live.finished(task)


def reply(socket, result, timeout=10):
    """Answer the next CALL with `result`."""
    _, message_id, *_ = json.loads(socket.recv(timeout=timeout))
    socket.send(json.dumps([3, message_id, result]))


# --- pictures --------------------------------------------------------------------------------


def take_pictures(live, pages):
    with playwright.sync_playwright() as started:
        browser = launch(started)
        for scheme, viewport, wanted in (
            ("dark", WALL, pages),
            ("light", WALL, {"fleet-light": "/"}),
            ("dark", PHONE, {"fleet-phone": "/", "charger-phone": pages["charger"]}),
        ):
            context = browser.new_context(color_scheme=scheme, viewport=viewport, base_url=live.url)
            page = context.new_page()
            log_in(page, live)
            for name, path in wanted.items():
                page.goto(path)
                page.wait_for_load_state("networkidle")
                page.wait_for_timeout(500)
                page.screenshot(path=FOLDER / f"{name}.png")
                print(f"  {os.path.relpath(FOLDER, PROJECT)}/{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
